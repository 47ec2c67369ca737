"""The cells of a grid one after another in this process, each told of when it is about to be made and when it is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from acdc.sweep.cell import SweepCell
from acdc.sweep.cell_run import run_cell
from acdc.sweep.folder import SweepFolder
from acdc.sweep.loaded_model import LoadedModel

WAIT = 1.0
"""Seconds until a cell that another process makes is looked at again."""


@dataclass(frozen=True)
class CellEnded:
    """A cell and its record, and whether that was there before."""

    cell: SweepCell
    record: dict[str, Any]
    kept: bool = False


def kept_and_left(cells: Sequence[SweepCell], folder: SweepFolder) -> tuple[list[CellEnded], list[SweepCell]]:
    """The cells that are done, and those that are left: those that failed are tried again."""
    kept, left = [], []
    for cell in cells:
        record = folder.record(cell)
        if record is None or record["status"] == "failed":
            left.append(cell)
        else:
            kept.append(CellEnded(cell, record, kept=True))
    return kept, left


def run_here(cells: Sequence[SweepCell], folder: SweepFolder) -> Iterator[CellEnded]:
    """Make every cell, those last that another process is making; whoever ends one, its record is told."""
    loaded = LoadedModel()
    work = partial(_work, loaded)
    left, skipped = deque(cells), 0
    while left:
        cell = left.popleft()
        record = folder.attempt(cell, work)
        if record is not None:
            skipped = 0
            yield CellEnded(cell, record)
            continue
        left.append(cell)
        skipped += 1
        if skipped >= len(left):  # all that are left are others'
            skipped = 0
            time.sleep(WAIT)


def _work(loaded: LoadedModel, cell: SweepCell, room: Any) -> dict[str, Any]:
    return run_cell(cell, loaded, room)
