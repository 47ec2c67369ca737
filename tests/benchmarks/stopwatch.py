"""Times of work and of its reference, taken in turns so that both see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, Protocol, TypeVar

import torch

Result = TypeVar("Result")


class Progress(Protocol):
    """What a walk tells on its way."""

    @property
    def done(self) -> int:
        """Pieces of work done."""
        ...

    @property
    def total(self) -> int:
        """Pieces of work in all."""
        ...


@dataclass(frozen=True)
class Walked(Generic[Result]):
    """How long a walk took, what it returned, and how long each run of the reference did."""

    seconds: float
    result: Result
    reference: tuple[float, ...]


def timed(work: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """How long work takes, on a GPU until that is done too, and what it returns."""
    _wait(device)
    start = time.perf_counter()
    result = work()
    _wait(device)
    return time.perf_counter() - start, result


def in_turns(works: Sequence[Callable[[], object]], repeats: int, device: torch.device) -> tuple[float, ...]:
    """The median time of each of these works, after one run of each that does not count."""
    times = [[timed(work, device)[0] for work in works] for _ in range(repeats + 1)]
    return tuple(median(column) for column in zip(*times[1:], strict=True))


def walk_in_turns(
    walk: Generator[Progress, None, Result], reference: Callable[[], object], count: int, device: torch.device
) -> Walked[Result]:
    """Time a walk, with `count` runs of the reference spread over its steps, which do not count as its time."""
    spent, times = 0.0, list[float]()
    while True:
        _wait(device)
        start = time.perf_counter()
        try:
            step = next(walk)
        except StopIteration as stop:
            return Walked(spent + time.perf_counter() - start, stop.value, tuple(times))
        _wait(device)
        spent += time.perf_counter() - start
        while len(times) * step.total < count * step.done:
            times.append(timed(reference, device)[0])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
