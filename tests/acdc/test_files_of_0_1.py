"""Files that version 0.1.0 wrote are read, and say what they said: a circuit, an attack, baselines, claims, prompts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import acdc
from acdc.attacks.file import RecordedAttack, circuit_hash
from acdc.graphs.circuit import Circuit
from acdc.hypotheses import baselines
from acdc.judges.findings import Findings
from acdc.provenance import Provenance
from tests.acdc.cli import command_line

OLD = Path(__file__).parent / "files_of_0_1"


def test_a_circuit_keeps_what_it_kept() -> None:
    findings = Findings.of(Circuit.load(OLD / "circuit.json"))
    assert findings.outcome.faithfulness is not None
    with pytest.warns(UserWarning, match="whether the tokenizer .* cannot be checked"):
        now = acdc.evaluate(OLD / "circuit.json")
    assert now.normalised.value == pytest.approx(findings.outcome.faithfulness.normalised.value, abs=1e-5)
    assert now.size == findings.outcome.faithfulness.size
    method, goal = findings.origin.search()
    assert (method.name, goal) == ("acdc", acdc.Threshold(0.4))


def test_a_behaviour_file_draws_the_prompts_that_its_circuit_was_found_on() -> None:
    circuit = Circuit.load(OLD / "of_behaviour.json")
    said = Findings.of(circuit).outcome.faithfulness
    assert said is not None
    with pytest.warns(UserWarning, match="whether the tokenizer .* cannot be checked"):
        now = acdc.evaluate(circuit, task=OLD / "behaviour.yaml")
    assert now.normalised.value == pytest.approx(said.normalised.value, abs=1e-5)
    assert Provenance.of(circuit).task_name() == "/home/someone/behaviour.yaml"


def test_an_attack_is_of_its_circuit_and_its_cases_can_be_pinned(tmp_path: Path) -> None:
    attack = RecordedAttack.load(OLD / "attack.json")
    assert attack.circuit.hash == circuit_hash(Circuit.load(OLD / "circuit.json"))
    assert attack.setup == Provenance.of(Circuit.load(OLD / "circuit.json")).setup()
    here = shutil.copytree(OLD, tmp_path / "old")
    (here / "test_pinned.acdc.yaml").unlink()
    assert command_line.acdc("pin", here / "attack.json", here / "test_pinned.acdc.yaml").code == 0
    assert (here / "test_pinned.acdc.yaml").read_text() == (OLD / "test_pinned.acdc.yaml").read_text()


def test_hypotheses_hold_by_the_values_recorded_for_them(tmp_path: Path) -> None:
    recorded = baselines.load(OLD / "test_hypothesis.acdc.baseline.json")
    assert recorded["kl"].value == pytest.approx(0.007478, abs=1e-6)
    told = command_line.acdc("test", shutil.copytree(OLD, tmp_path / "old"))  # where it leaves claims.json
    assert told.code == 0, told
    assert "5 passed, 0 failed, 0 errors" in told.out
