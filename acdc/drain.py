"""Run a search, which is a generator of steps that returns what it found, to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol, TypeVar

from acdc.progress import Progress

Step = TypeVar("Step")
Reported = TypeVar("Reported")
End = TypeVar("End")


class Saves(Protocol):
    """What keeps the state of a search, so that it can be interrupted."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state."""


def drain(
    walk: Generator[Step, None, End],
    watch: Callable[[Step], object] | None = None,
    checkpoint: Saves | None = None,
) -> End:
    """What the walk returns; `checkpoint` keeps the state of every step that has one, then `watch` is told of it.

    An interrupt between two steps reaches the walk as one within a step does: it may end with what it has.
    """
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            step = next(walk) if interrupt is None else walk.throw(interrupt)
        except StopIteration as stop:
            interrupt = None  # whose traceback holds what the walk held
            end: End = stop.value
            return end
        try:
            interrupt = None
            _report(step, watch, checkpoint)
        except KeyboardInterrupt as raised:
            interrupt = raised


def _report(step: Step, watch: Callable[[Step], object] | None, checkpoint: Saves | None) -> None:
    if checkpoint is not None and isinstance(step, Progress) and step.state is not None:
        checkpoint.save(step.state)
    if watch is not None:
        watch(step)


def translated(
    walk: Generator[Step, None, End], tell: Callable[[Step], Reported | None]
) -> Generator[Reported, None, End]:
    """The same walk, with what `tell` makes of every step in its place; None leaves a step out.

    An interrupt reaches the inner walk, which may go on to an end with what it has.
    """
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            step = next(walk) if interrupt is None else walk.throw(interrupt)
        except StopIteration as stop:
            interrupt = None  # whose traceback holds what the walk held
            end: End = stop.value
            return end
        interrupt = None
        if (reported := tell(step)) is not None:
            try:
                yield reported
            except KeyboardInterrupt as raised:
                interrupt = raised
