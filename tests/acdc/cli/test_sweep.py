"""`acdc sweep` from a grid file to its table, and everything that it must say no to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest

from tests.acdc.cli.command_line import acdc, refused
from tests.acdc.sweep.grids import small, write


@pytest.fixture
def grid() -> Path:
    return small(Path(), seeds="[0, 1]")


def test_a_grid_is_run_once_and_kept(grid: Path) -> None:
    ran = acdc("sweep", grid)
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[-2:] == [
        "1 of 2: periodic on periodic-2l, eap-ig, seed 0",
        "2 of 2: periodic on periodic-2l, eap-ig, seed 1",
    ]
    assert "2 done" in ran.out
    assert ran.out.splitlines()[-1] == f"Next: acdc view {Path.cwd()}/runs/sweep-grid"
    before = Path("runs/sweep-grid/journal.jsonl").read_text()
    again = acdc("sweep", grid, "--json")
    assert (again.code, again.err) == (0, "2 of 2 cells are done already\n")
    assert Path("runs/sweep-grid/journal.jsonl").read_text() == before
    rows = again.json["cells"]
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows[0]["faithfulness"] == pandas.read_csv("runs/sweep-grid/sweep.csv").faithfulness[0]
    small(Path(), seeds="[1, 2]")
    assert acdc("sweep", grid, "--quiet").code == 0
    assert len(Path("runs/sweep-grid/journal.jsonl").read_text().splitlines()) == 6, "one cell more"


def test_shards_of_two_jobs_fill_one_table(grid: Path) -> None:
    first = acdc("sweep", grid, "--shard", "1/2", "--quiet")
    assert first.code == 0, first.err
    assert list(pandas.read_csv("runs/sweep-grid/sweep.csv").status) == ["done", "not run"]
    assert acdc("sweep", grid, "--shard", "2/2", "--quiet").code == 0
    assert list(pandas.read_csv("runs/sweep-grid/sweep.csv").status) == ["done", "done"]


def test_a_dry_run_tells_cells_memory_and_time_and_writes_nothing(grid: Path) -> None:
    ran = acdc("sweep", grid, "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[1][:4] == ["periodic", "periodic-2l", "eap-ig", "0"]
    assert rows[1][5] == "GB"
    assert "2 cells, 0 of them done" in ran.out
    assert not Path("runs").exists()
    told = acdc("sweep", grid, "--dry-run", "--json").json
    assert [one["done"] for one in told] == [False, False]
    assert told[0]["bytes_with_model"] > 1e8


def test_a_cell_that_fails_is_told_and_the_others_go_on() -> None:
    grid = small(Path(), models="[periodic-2l, broken]")
    shutil.copytree(Path(__file__).parents[3] / "tasks/models/periodic-2l", "broken")
    Path("broken/model.safetensors").write_bytes(b"damaged")
    ran = acdc("sweep", grid)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == "error: 1 of 2 cells have no circuit; sweep.csv says why of each"
    assert "refused: periodic on broken, eap-ig, seed 0: " in ran.out
    table = pandas.read_csv("runs/sweep-grid/sweep.csv")
    assert list(table.status) == ["done", "refused"]
    assert "broken" in table.message[1]


def test_what_is_wrong_with_a_grid_is_told_with_file_and_line(grid: Path) -> None:
    write(grid, "tasks: [periodic]", "models: [periodic-2l]", "sedes: [0]")
    assert refused("sweep", grid).startswith("grid.yaml:3: unknown key: got 'sedes', wanted one of the known keys")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on", "cluster"), "--on is 'cluster'; wanted local, ray"),
        (("--shard", "3/2"), "--shard is '3/2'; wanted I/N"),
        (("--out", "grid.yaml/in"), "grid.yaml/in cannot be written: Not a directory"),
    ],
)
def test_what_cannot_be_is_refused(grid: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refused("sweep", grid, *words)


def test_ray_that_is_not_there_is_the_environments_lack(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "ray", None)
        ran = acdc("sweep", grid, "--on", "ray")
    assert ran.code == 3
    assert "error: --on ray needs Ray, which is not installed" in ran.err
    pytest.importorskip("ray")
    ran = acdc("sweep", grid, "--on", "ray://127.0.0.1:1")
    assert ran.code == 3
    assert "error: no Ray cluster can be used at ray://127.0.0.1:1" in ran.err


def test_an_interrupt_ends_everything_and_keeps_no_search_that_it_cut_short(
    grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, **more: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:  # which a search takes for "the best so far"
            raise AssertionError from None

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("acdc.sweep.cell_run.prepare", interrupted)
    ran = acdc("sweep", grid)
    assert ran.code == 130
    assert ran.err.endswith("interrupted; the same command goes on with the cells that are left\n")
    assert list(Path("runs/sweep-grid/cells").iterdir()) == []
    assert signal.getsignal(signal.SIGINT) == before


def test_the_results_of_another_grid_are_left_alone(grid: Path) -> None:
    assert acdc("sweep", grid, "--out", "found", "--quiet").code == 0
    other = write(Path("other.yaml"), *grid.read_text().replace("[0, 1]", "[7]").splitlines())
    before = Path("found/sweep.csv").read_bytes()
    assert "found holds the results of another grid" in refused("sweep", other, "--out", "found")
    assert Path("found/sweep.csv").read_bytes() == before
    assert json.loads(Path("found/sweep.json").read_text())["grid"] == str(grid.resolve())
