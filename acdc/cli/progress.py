"""How far a discovery is: a bar with the time left on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING

from rich import progress as bars

from acdc.cli import terminal

if TYPE_CHECKING:
    from acdc.progress import Progress


class ProgressDisplay:
    """What is going on, for whoever waits."""

    def stage(self, words: str) -> None:
        """Say what is done now, where no end can be told."""

    def pruning(self, progress: Progress) -> None:
        """Say how far the pruning run of the moment is."""

    def line(self, words: str) -> None:
        """Say something that stays."""

    def piece(self, words: str, done: int, total: int) -> None:
        """Say which of many pieces of work, alike in kind, has just been done."""


class _ProgressBar(ProgressDisplay):
    def __init__(self, live: bars.Progress) -> None:
        self._live = live
        self._task = live.add_task("starting", total=None)
        self._stage = ""

    def stage(self, words: str) -> None:
        # a task with an end never becomes one without, so each stage is a task of its own
        self._live.remove_task(self._task)
        self._task = self._live.add_task(words, total=None)

    def pruning(self, progress: Progress) -> None:
        # a new stage's time left is guessed from its own pace
        show = self._live.update if progress.stage == self._stage else self._live.reset
        self._stage = progress.stage
        show(self._task, description=_words(progress), total=progress.total, completed=progress.done)

    def line(self, words: str) -> None:
        self._live.console.print(words, soft_wrap=True, highlight=False)

    def piece(self, words: str, done: int, total: int) -> None:
        self._live.update(self._task, description=words, total=total, completed=done)


_EVERY = 10.0
"""After how many seconds a line says how far a stage is, where no bar can."""


class _Lines(ProgressDisplay):
    def __init__(self) -> None:
        self._last, self._pace = "", _Pace("", 0)

    def stage(self, words: str) -> None:
        terminal.errors().print(words)

    def pruning(self, progress: Progress) -> None:
        words = _words(progress)
        if progress.done in (0, progress.total) and words != self._last:  # announced, or done
            terminal.errors().print(words)
            self._last = words
        if progress.stage != self._pace.stage:
            self._pace = _Pace(progress.stage, progress.done)
        elif progress.done < progress.total and (left := self._pace.left(progress)) is not None:
            terminal.errors().print(f"{words}: {progress.done / progress.total:.0%}, about {_time(left)} left")

    def line(self, words: str) -> None:
        terminal.errors().print(words, soft_wrap=True)

    def piece(self, words: str, done: int, total: int) -> None:
        terminal.errors().print(f"{done} of {total}: {words}")


class _Pace:
    """How fast a stage is, from when it was first heard of."""

    def __init__(self, stage: str, done: int) -> None:
        self.stage, self._first = stage, done
        self._began = self._said = monotonic()

    def left(self, progress: Progress) -> float | None:
        """How many seconds are left; None where that was said just before, or nothing is known."""
        now, since = monotonic(), progress.done - self._first
        if since <= 0 or now - self._said < _EVERY:
            return None
        self._said = now
        return (now - self._began) * (progress.total - progress.done) / since


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[ProgressDisplay]:
    """A watch for the time of the work; the bar is gone afterwards, the lines stay.

    >>> with acdc.watching() as watch:
    ...     result = acdc.discover("ioi", watch=watch.pruning)
    """
    console = terminal.errors()
    if quiet:
        yield ProgressDisplay()
    elif not (console.is_terminal or (console.is_jupyter and _has_widgets())):
        yield _Lines()
    else:
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=24),
            bars.TaskProgressColumn(),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=console, transient=True) as live:
            yield _ProgressBar(live)


def _has_widgets() -> bool:
    """Whether a notebook can show a bar that moves."""
    return find_spec("ipywidgets") is not None


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _words(progress: Progress) -> str:
    if progress.kept is None:
        return progress.stage
    edges = f"{progress.kept:,} edge{'s' if progress.kept != 1 else ''}"
    so_far = " so far" if progress.done < progress.total else ""
    return f"{progress.stage} · {edges}{so_far}"
