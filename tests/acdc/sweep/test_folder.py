"""A cell is made once, whole or not at all, by one process at a time, whatever becomes of that process."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from acdc.errors import UnmeasurableBehaviour
from acdc.sweep.cell import SweepCell
from acdc.sweep.folder import SweepFolder
from tests.acdc.sweep.drivers import begin_and_die, started
from tests.acdc.sweep.grids import cells_of, events, nothing, small


@pytest.fixture
def cell(tmp_path: Path) -> SweepCell:
    return cells_of(small(tmp_path))[0]


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "results")


def fails(error: BaseException) -> Any:
    def work(cell: SweepCell, room: Path) -> dict[str, Any]:
        (room / "half").write_text("half")
        raise error

    return work


def left(folder: SweepFolder) -> list[str]:
    return sorted(path.name for path in folder.cells.iterdir())


def test_a_cell_that_is_done_is_not_made_again(folder: SweepFolder, cell: SweepCell) -> None:
    first = folder.attempt(cell, nothing)
    assert folder.attempt(cell, fails(AssertionError("made again"))) == first == folder.record(cell)
    assert left(folder) == [cell.hash]
    assert events(folder) == [("begun", cell.hash), ("done", cell.hash)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "a file cannot be read or written: No space left"),
        (MemoryError(), "memory ran out; ask for fewer prompts"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory ran out"),
        (UnmeasurableBehaviour("nothing to see"), "nothing to see"),
        (TypeError("oops"), "a fault in acdc: TypeError: oops; its traceback is in the cell's failed.json"),
    ],
)
def test_a_failure_is_one_message_leaves_nothing_half_made_and_is_tried_again(
    folder: SweepFolder, cell: SweepCell, error: Exception, message: str
) -> None:
    record = folder.attempt(cell, fails(error))
    assert record is not None
    assert (record["status"], record["message"].startswith(message)) == ("failed", True)
    assert left(folder) == [f"{cell.hash}.failed.json"]
    assert (folder.record(cell) or {})["message"] == record["message"]
    done = folder.attempt(cell, nothing)
    assert done == folder.record(cell)
    assert left(folder) == [cell.hash]


def test_an_interrupt_is_no_failure(folder: SweepFolder, cell: SweepCell) -> None:
    with pytest.raises(KeyboardInterrupt):
        folder.attempt(cell, fails(KeyboardInterrupt()))
    assert (left(folder), folder.record(cell)) == ([], None)


def test_a_folder_that_cannot_be_written_is_that_cells_message(tmp_path: Path, cell: SweepCell) -> None:
    (tmp_path / "results").write_text("a file")
    record = SweepFolder(tmp_path / "results").attempt(cell, nothing)
    assert record is not None
    assert record["message"].startswith("a file cannot be read or written")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"settings": {}, "status": "done"}'])
def test_a_record_that_is_damaged_or_anothers_is_made_again(folder: SweepFolder, cell: SweepCell, text: str) -> None:
    folder.attempt(cell, nothing)
    (folder.room(cell) / "cell.json").write_text(text)
    assert folder.record(cell) is None
    assert folder.attempt(cell, nothing) == folder.record(cell)


def test_a_cell_that_another_process_makes_is_left_to_it(folder: SweepFolder, cell: SweepCell) -> None:
    folder.cells.mkdir(parents=True)
    with FileLock(folder.cells / f".{cell.hash}.lock"):
        assert folder.attempt(cell, nothing) is None
    assert folder.attempt(cell, nothing) is not None


def test_the_lock_and_the_leavings_of_a_killed_process_stand_in_nobodys_way(
    folder: SweepFolder, cell: SweepCell
) -> None:
    child = started(begin_and_die, cell, folder)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert len(left(folder)) == 2, "its lock and what it had made"
    assert folder.attempt(cell, nothing) is not None
    assert left(folder) == [cell.hash]
    assert [event for event, _ in events(folder)] == ["begun", "begun", "done"]
