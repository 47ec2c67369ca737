"""The folder of a grid's results: a directory for each cell that is done, and one process at a time for each other.

A cell is made in a directory of its own beside its place, and renamed when it is whole. Who makes it holds a lock that
the system takes back when the process ends, however it ends. `journal.jsonl` tells when each was begun and done.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from acdc.bench import cell_files
from acdc.errors import AcdcError
from acdc.graphs.errors import GraphsError
from acdc.sweep.cell import SweepCell
from acdc.tasks.errors import TaskError

RECORD = "cell.json"
JOURNAL = "journal.jsonl"

Work = Callable[[SweepCell, Path], dict[str, Any]]
"""What makes a cell: it writes files into the room it is given, and returns the record."""


@dataclass(frozen=True)
class SweepFolder:
    """Where the cells of a grid are kept."""

    directory: Path

    @property
    def cells(self) -> Path:
        """The directory with a directory for each cell that is done."""
        return self.directory / "cells"

    def room(self, cell: SweepCell) -> Path:
        """The directory of a cell."""
        return self.cells / cell.hash

    def record(self, cell: SweepCell) -> dict[str, Any] | None:
        """What is known of a cell: its result, or else how it failed last; None where it was never ended."""
        done = cell_files.kept(self.room(cell) / RECORD, cell.settings)
        return done or cell_files.kept(self._failure(cell), cell.settings)

    def attempt(self, cell: SweepCell, work: Work) -> dict[str, Any] | None:
        """The record of a cell, made now unless it is there; None where another process is making it.

        A failure is a record too, with its one message, and the cell is made again at the next attempt. A result that
        does not fit what decides it now is replaced.
        """
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            with self._claimed(cell) as claimed:
                if not claimed:
                    return None
                done = cell_files.kept(self.room(cell) / RECORD, cell.settings)
                return done or self._made(cell, work)
        except OSError as error:
            return self.failed(cell, failure_of(error))

    def failed(self, cell: SweepCell, message: str, trace: str = "") -> dict[str, Any]:
        """The record of a cell that failed, kept if the disk allows."""
        record = {"settings": cell.settings, "status": "failed", "message": message}
        with suppress(OSError):
            cell_files.keep(self._failure(cell), {**record, **({"traceback": trace} if trace else {})})
        return record

    def note(self, event: str, cell: SweepCell) -> None:
        """Add a line to the journal."""
        line = {"when": datetime.now(timezone.utc).isoformat(), "event": event, "cell": cell.hash, **whereabouts()}
        handle = os.open(self.directory / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, (json.dumps(line) + "\n").encode())  # at once, so that lines do not mix
        finally:
            os.close(handle)

    def _made(self, cell: SweepCell, work: Work) -> dict[str, Any]:
        for left in self.cells.glob(f".{cell.hash}-*"):  # by a process that was killed: the lock is ours
            shutil.rmtree(left, ignore_errors=True)
        self.note("begun", cell)
        with tempfile.TemporaryDirectory(dir=self.cells, prefix=f".{cell.hash}-") as made_in:
            room = Path(made_in) / "cell"
            room.mkdir()
            try:
                record = work(cell, room)
                cell_files.keep(room / RECORD, record)
                self._put(room, self.room(cell))
            except Exception as error:  # of one cell; the others go on
                self.note("failed", cell)
                known = isinstance(error, (AcdcError, GraphsError, TaskError, OSError)) or _lacks_memory(error)
                return self.failed(cell, failure_of(error), "" if known else traceback.format_exc())
        self._failure(cell).unlink(missing_ok=True)
        self.note("done", cell)
        return record

    def _put(self, room: Path, place: Path) -> None:
        """Put a directory in its place at once; what is there cannot be the cell's result."""
        if place.exists():
            shutil.rmtree(place)
        os.rename(room, place)

    def _failure(self, cell: SweepCell) -> Path:
        return self.cells / f"{cell.hash}.failed.json"

    @contextmanager
    def _claimed(self, cell: SweepCell) -> Iterator[bool]:
        """Whether the cell is ours alone until the end."""
        path = self.cells / f".{cell.hash}.lock"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(OSError):
                path.unlink()  # while it is held: whoever waits for it sees that it is gone
            lock.release()


def whereabouts() -> Mapping[str, Any]:
    """Which process on which machine this is."""
    return {"host": socket.gethostname(), "process": os.getpid()}


def failure_of(error: Exception) -> str:
    """Why a cell failed, in one message."""
    match error:
        case _ if _lacks_memory(error):
            return "memory ran out; ask for fewer prompts, a narrower dtype, or a device with more memory"
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            return f"a file cannot be read or written: {error.strerror or error}{where}; make room or correct it"
        case AcdcError() | GraphsError() | TaskError():
            return str(error)
        case _:
            return f"a fault in acdc: {type(error).__name__}: {error}; its traceback is in the cell's failed.json"


def _lacks_memory(error: Exception) -> bool:
    import torch

    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and "allocate" in str(error))
