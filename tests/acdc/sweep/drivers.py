"""Other processes that make cells, started anew: a fork of a process in which libraries have threads may hang."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from acdc.sweep import run as running
from acdc.sweep.cell import SweepCell
from acdc.sweep.folder import SweepFolder
from tests.acdc.sweep.grids import nothing


def started(work: Callable[..., None], *arguments: object) -> SpawnProcess:
    """A process that does this."""
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments, daemon=True)
    child.start()
    return child


def slowly(loaded: object, cell: SweepCell, room: Path) -> dict[str, Any]:
    """Nothing, and it takes its time."""
    time.sleep(0.02)
    return nothing(cell, room)


def make_all(cells: tuple[SweepCell, ...], folder: SweepFolder) -> None:
    """Make the cells one after another, or wait until another process has."""
    running._work, running.WAIT = slowly, 0.01  # type: ignore[assignment]
    sys.exit(0 if len(list(running.run_here(cells, folder))) == len(cells) else 1)


def begin_and_die(cell: SweepCell, folder: SweepFolder) -> None:
    """Write the half of a cell and be killed."""
    folder.attempt(cell, _killed)


def _killed(cell: SweepCell, room: Path) -> dict[str, Any]:
    (room / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
