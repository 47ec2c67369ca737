"""How many threads a command's arithmetic uses: as many as CPUs are free when it starts, unless it is told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from acdc.cli import terminal
from acdc.errors import BadSetting

VARIABLE = "OMP_NUM_THREADS"
"""What torch and its libraries read when they are loaded."""
OPTION = "--threads"
MOST_THREADS = 1024
_SAMPLES, _APART = 8, 0.005
"""How often it is looked what runs, and how many seconds lie between."""
_RUN_MODELS = ("discover", "evaluate", "stability", "attack", "diff", "test", "bench")


@contextmanager
def chosen(words: Sequence[str]) -> Iterator[None]:
    """Inside, a command line gets as many threads as CPUs are free, and says so if it runs a model and not all are.

    More threads than free CPUs wait for each other at every operation: two on a busy pair of CPUs can take longer than
    one by far. Where the environment or the command line says a number, that is used. Afterwards the environment is
    what it was.
    """
    before, cpus = os.environ.get(VARIABLE), _cpus()
    given = before is not None or any(word.partition("=")[0] == OPTION for word in words)
    threads = cpus if given else free(cpus, _load())
    if threads < cpus:
        use(threads)
        if any(word in _RUN_MODELS for word in words) and "--help" not in words:
            terminal.errors().print(
                f"using {threads} of {cpus} CPUs, as the others are busy; acdc {OPTION} N or {VARIABLE} says otherwise",
                soft_wrap=True,
            )
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def use(threads: int) -> None:
    """Have torch use so many threads once it is loaded.

    Raises: BadSetting for less than one, and for more than any machine can run.
    """
    if threads < 1:
        raise BadSetting(f"{OPTION} is {threads}; wanted at least 1")
    if threads > MOST_THREADS:
        raise BadSetting(f"{OPTION} is {threads:,}; wanted at most {MOST_THREADS:,}")
    os.environ[VARIABLE] = str(threads)


def free(cpus: int, load: float) -> int:
    """How many of so many CPUs are free where so many threads of others run, one at least."""
    return max(1, min(cpus, cpus - round(load)))


def _cpus() -> int:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load(path: Path = Path("/proc/loadavg")) -> float:
    """How many threads of others run or wait for a CPU, now; where the system says only the last minute's, that.

    0 where it says neither. The last minute's is no good guide: it still counts the command before this one.
    """
    running: list[int] = []
    try:
        for _ in range(_SAMPLES):
            running.append(int(path.read_text("ascii").split()[3].partition("/")[0]) - 1)  # it counts this one, too
            time.sleep(_APART)
        return mean(running)
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return 0.0
