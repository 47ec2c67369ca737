"""Cells one after another: each once, whoever else is at it and however often the driver is killed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from acdc.models import load_named
from acdc.sweep import run as running
from acdc.sweep.cell import SweepCell
from acdc.sweep.folder import SweepFolder
from acdc.sweep.run import kept_and_left, run_here
from tests.acdc.sweep.drivers import make_all, slowly, started
from tests.acdc.sweep.grids import cells_of, checkpoint, events, small


@pytest.fixture
def cells(tmp_path: Path) -> tuple[SweepCell, ...]:
    return cells_of(small(tmp_path, seeds=str(list(range(12)))))


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "results")


def test_a_killed_driver_loses_no_cell_that_is_done_and_makes_none_twice(
    cells: tuple[SweepCell, ...], folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_work", slowly)
    for more in (3, 6):
        child = started(make_all, cells, folder)
        while sum(event == "done" for event, _ in events(folder)) < more:
            assert child.exitcode is None
            time.sleep(0.002)
        child.kill()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
    kept, left = kept_and_left(cells, folder)
    assert len(kept) >= 6
    assert len(list(run_here(left, folder))) == len(left)
    counts = Counter(events(folder))
    assert {counts["done", cell.hash] for cell in cells} == {1}
    assert sum(counts["begun", cell.hash] for cell in cells) <= len(cells) + 2, "but for those that were in flight"


def test_two_drivers_make_every_cell_once(cells: tuple[SweepCell, ...], folder: SweepFolder) -> None:
    folder.directory.mkdir()
    children = [started(make_all, order, folder) for order in (cells, tuple(reversed(cells)))]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    assert set(Counter(events(folder)).values()) == {1}


def test_a_model_is_loaded_once_for_all_its_cells(
    tmp_path: Path, folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "ck", 0.01)
    loaded: list[str] = []

    def load(name: str, setup: Any) -> Any:
        loaded.append(name)
        return load_named(name, setup)

    monkeypatch.setattr("acdc.sweep.loaded_model.load_named", load)
    cells = cells_of(small(tmp_path, models="[periodic-2l, ck]", seeds="[0, 1]"))
    assert [one.record["status"] for one in run_here(cells, folder)] == ["done"] * 4
    assert loaded == ["periodic-2l", str(tmp_path / "ck")]
