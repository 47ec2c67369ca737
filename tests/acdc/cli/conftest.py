"""A directory of its own for every command, and one circuit found once for all who only read it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from acdc.attacks.file import circuit_hash
from acdc.attacks.measuring import cases
from acdc.graphs.circuit import Circuit
from acdc.judges.evaluation import judgement
from acdc.provenance import Provenance
from tests.acdc.cli.command_line import QUICK, acdc


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="session")
def _found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("found")
    before = Path.cwd()
    os.chdir(directory)
    try:
        ran = acdc("discover", "periodic", "--out", "found", *QUICK)
    finally:
        os.chdir(before)
    assert ran.code == 0, ran.err
    return directory / "found"


@pytest.fixture
def found(_found: Path, tmp_path: Path) -> Path:
    """What `acdc discover periodic` wrote, in the directory `found` of the current one."""
    return Path(shutil.copytree(_found, tmp_path / "found")).relative_to(tmp_path)


@pytest.fixture
def attacked(found: Path) -> Path:
    """A circuit without its edge into the logits, and an attack on it which has found that it fails."""
    whole = Circuit.load(found / "circuit.json")
    whole.save(found / "whole.json")
    gone = [edge for edge in whole.ordered() if edge.receiver.name == "logits"]
    broken = Circuit(whole.graph, whole.edges - {*gone}, {}, whole.provenance)
    broken.save(found / "circuit.json")
    problem = judgement(broken, task=None, model=None, setup=Provenance.of(broken).setup())
    worst = sorted(cases(problem, broken, "search"), key=lambda case: -case.kl)
    record = {key: whole.provenance[key] for key in ("model", "task", "prompts", "ablation", "metric")}
    data = {
        "schema": "acdc.attack/1",
        "circuit": {"file": "circuit.json", "hash": circuit_hash(broken)},
        **record,
        "worst": [case.to_json() for case in worst],
    }
    (found / "attack.json").write_text(json.dumps(data))
    return found
