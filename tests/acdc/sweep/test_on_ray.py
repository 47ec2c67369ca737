"""On Ray the same is found as here; a worker that dies is replaced, twice; what cannot be had is one message."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from acdc.errors import NoCluster
from acdc.sweep.demand import demands
from acdc.sweep.folder import SweepFolder
from acdc.sweep.on_ray import made_in_worker, run_on_ray
from acdc.sweep.run import run_here
from tests.acdc.pieces.stand_in import FullDiskError, FullMemoryError, FullStoreError, StandIn, TaskError
from tests.acdc.sweep.grids import cells_of, small
from tests.acdc.sweep.in_workers import dies

pytestmark = pytest.mark.filterwarnings(  # of Ray itself
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    (tmp_path / "ray").mkdir()
    return SweepFolder(tmp_path / "ray")


def without_times(directory: Path) -> Any:
    """All files of a cell but for when and how fast they were made."""
    record, circuit = (json.loads((directory / name).read_text()) for name in ("cell.json", "circuit.json"))
    joining = {name: tensor.tolist() for name, tensor in load_file(directory / "joining.safetensors").items()}
    return {**record, "seconds": None}, {**circuit, "created": None}, repr(joining)


def test_ray_finds_what_is_found_here_to_the_last_bit(ray: Any, folder: SweepFolder, tmp_path: Path) -> None:
    cells = cells_of(small(tmp_path))
    here = SweepFolder(tmp_path / "here")
    list(run_here(cells, here))
    ended = list(run_on_ray(list(demands(cells)), folder, ray))
    assert {one.record["status"] for one in ended} == {"done"}
    assert [without_times(folder.room(cell)) for cell in cells] == [without_times(here.room(cell)) for cell in cells]


def test_a_worker_that_dies_is_replaced_twice_and_then_its_cell_has_failed(
    ray: Any, folder: SweepFolder, tmp_path: Path
) -> None:
    wanted = list(demands(cells_of(small(tmp_path, seeds="[0, 1, 2]"))))
    by_seed = {one.cell.setup.seed: one.record for one in run_on_ray(wanted, folder, ray, dies)}
    begun = [len((folder.directory / f"begun-{seed}").read_text()) for seed in (0, 1, 2)]
    assert begun == [2, 3, 1]
    assert by_seed[0]["status"] == "done"
    assert by_seed[1]["message"].startswith("the worker that made it died 3 times")
    assert by_seed[2]["message"].startswith("a fault in acdc: TypeError: oops")


def test_what_no_machine_has_room_for_fails_at_once(ray: Any, folder: SweepFolder, tmp_path: Path) -> None:
    (cell,) = cells_of(small(tmp_path))
    (wanted,) = demands([replace(cell, search=replace(cell.search, threads=1024))])
    (ended,) = run_on_ray([wanted], folder, ray)
    assert ended.record["message"].startswith("no machine of the cluster has room for it: it takes 1024 CPUs, 0 GPUs")


def test_a_worker_makes_nothing_where_it_cannot_see_the_folder_or_would_find_other_numbers(tmp_path: Path) -> None:
    (cell,) = cells_of(small(tmp_path))
    versions = cell.settings["versions"]
    elsewhere = made_in_worker(str(tmp_path / "none"), cell, versions)
    assert "give a folder that all machines share" in (elsewhere or {})["message"]
    older = made_in_worker(str(tmp_path), cell, {**versions, "torch": "1.0"})
    assert "not 1.0: it would find other numbers" in (older or {})["message"]


def test_a_worker_that_runs_out_of_memory_is_replaced_twice_and_then_told(folder: SweepFolder, tmp_path: Path) -> None:
    (wanted,) = demands(cells_of(small(tmp_path)))
    stand_in = StandIn(FullMemoryError())
    (ended,) = run_on_ray([wanted], folder, stand_in)
    assert ended.record["message"].startswith("memory ran out on the worker, 3 times")
    assert stand_in.given == 3
    assert stand_in.needs["num_cpus"] == 1
    assert stand_in.needs["memory"] == wanted.bytes > 0


@pytest.mark.parametrize(
    ("error", "what"), [(FullStoreError(), "the object store"), (TaskError(FullDiskError()), "a disk")]
)
def test_a_cluster_that_is_full_is_that_cells_message(
    folder: SweepFolder, tmp_path: Path, error: Exception, what: str
) -> None:
    (wanted,) = demands(cells_of(small(tmp_path)))
    stand_in = StandIn(error)
    (ended,) = run_on_ray([wanted], folder, stand_in)
    assert ended.record["message"].startswith(f"{what} of the Ray cluster is full, 3 times; make room on its machines")
    assert stand_in.given == 3


def test_a_cluster_that_is_gone_is_told_and_no_cell_has_failed(folder: SweepFolder, tmp_path: Path) -> None:
    (wanted,) = demands(cells_of(small(tmp_path)))
    with pytest.raises(NoCluster, match="the Ray cluster is gone: broken; run the same again to go on"):
        list(run_on_ray([wanted], folder, StandIn(ConnectionError("broken"))))
    assert folder.record(wanted.cell) is None
