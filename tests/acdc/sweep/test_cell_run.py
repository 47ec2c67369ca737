"""A cell from its settings to its files, with everything that can be asked of its circuit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from acdc.errors import BadSetting
from acdc.report.page.run_folder import RunFolder
from acdc.settings import Compute
from acdc.sweep.cell_run import run_cell
from acdc.sweep.folder import SweepFolder
from acdc.sweep.loaded_model import LoadedModel
from tests.acdc.hypotheses.files import HOLDS
from tests.acdc.sweep.grids import cells_of, small


def test_everything_can_be_asked_of_a_circuit_and_a_page_can_be_made_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_a.acdc.yaml").write_text(HOLDS)
    more = (
        "then: {explain: true, evaluate: true, attack: {budget: 4, prompts: 4, parts: [search, necessity]},",
        "       stability: {resamples: 1, seeds: 1}, hypotheses: [test_a.acdc.yaml]}",
    )
    (cell,) = cells_of(small(tmp_path, more=more))
    record = run_cell(cell, LoadedModel(), tmp_path)
    assert record["status"] == "done", record
    figures = record["figures"]
    assert set(figures) == {"metric", "faithfulness", "right", "evaluation", "attack", "claims", "stability"}
    assert figures["claims"] == {"passed": 3, "failed": 0, "errors": 0}
    assert figures["evaluation"]["verdict"] in ("holds", "conditional", "fails")
    assert figures["stability"]["resamples"]["runs"] == figures["stability"]["seeds"]["runs"] == 1
    json.dumps(record, allow_nan=False)
    run = RunFolder.read(tmp_path / "circuit.json")
    assert set(run.files) == {"attack.json", "evaluation.json", "claims.json", "explain.json"}
    assert set(run.findings.circuit.roles) == set(run.findings.circuit.heads()), "they stand in the circuit's file"
    assert run.findings.outcome.stability is not None
    asked = {section["question"]: section["verdict"] for section in run.files["evaluation.json"]["sections"]}
    assert asked["stability"] != "not measured", "it was asked before"


def test_a_circuit_is_attacked_by_the_metric_that_it_was_found_by(tmp_path: Path) -> None:
    """A goal of KL prunes by KL, which is not the task's own metric."""
    grid = small(tmp_path, more=("then: {attack: {budget: 4, prompts: 4, parts: [necessity]}}",))
    grid.write_text(grid.read_text().replace("eap-ig", "acdc").replace("{edges: 10}", "{kl: 0.5}"))
    (cell,) = cells_of(grid)
    record = run_cell(cell, LoadedModel(), tmp_path)
    assert record["figures"]["metric"] == "kl"
    assert json.loads((tmp_path / "attack.json").read_text())["metric"]["name"] == "kl"


def test_what_the_metric_does_not_allow_is_a_result_that_says_so(tmp_path: Path) -> None:
    grid = small(tmp_path)
    grid.write_text(grid.read_text().replace("prompts: 4,", "prompts: 4, metric: accuracy,"))
    (cell,) = cells_of(grid)
    record = run_cell(cell, LoadedModel(), tmp_path)
    assert record["status"] == "refused"
    assert "accuracy" in record["message"]
    assert not (tmp_path / "circuit.json").exists()


def test_a_device_that_this_machine_lacks_is_no_result(tmp_path: Path) -> None:
    (cell,) = cells_of(small(tmp_path))
    lacking = replace(cell, setup=replace(cell.setup, compute=Compute("cuda:77")))
    with pytest.raises(BadSetting, match="cannot be used here"):
        run_cell(lacking, LoadedModel(), tmp_path)
    record = SweepFolder(tmp_path).attempt(lacking, lambda cell, room: run_cell(cell, LoadedModel(), room))
    assert (record or {})["status"] == "failed"


def test_threads_are_those_of_the_grid_and_afterwards_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = cells_of(small(tmp_path))
    met: list[int] = []

    def prepare(*given: object, **more: object) -> None:
        met.append(torch.get_num_threads())
        raise MemoryError

    monkeypatch.setattr("acdc.sweep.cell_run.prepare", prepare)
    before = torch.get_num_threads()
    with pytest.raises(MemoryError):
        run_cell(replace(cell, search=replace(cell.search, threads=2)), LoadedModel(), tmp_path)
    assert (met, torch.get_num_threads()) == ([2], before)
