"""Walk a generator to its end: what it returns, and what it told on the way."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Step = TypeVar("Step")
End = TypeVar("End")


def finished(walk: Generator[Step, None, End]) -> tuple[End, list[Step]]:
    """The value returned, and every value yielded before."""
    steps: list[Step] = []
    while True:
        try:
            steps.append(next(walk))
        except StopIteration as stop:
            end: End = stop.value
            return end, steps


def ended(walk: Generator[Step, None, End]) -> End:
    """The value returned."""
    return finished(walk)[0]
