"""All files are tested, whatever is wrong with some of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import acdc
from acdc import tasks
from acdc.errors import BadHypothesisFile, BadSetting, UnmeasurableBehaviour
from acdc.graphs.model import Model
from acdc.hypotheses.session import hypothesis_files, run
from acdc.models import load_named
from tests.acdc.discoveries import SETUP
from tests.acdc.hypotheses.files import changed, claiming, untrained, write


def test_files_are_found_in_folders_once_and_in_order(tmp_path: Path) -> None:
    second = write(tmp_path / "b", name="test_b.acdc.yaml")
    first = write(tmp_path / "a", name="test_a.acdc.yaml")
    write(tmp_path, name="no_test.acdc.yaml")
    assert hypothesis_files([tmp_path, second]) == (first, second)
    assert hypothesis_files([second, first]) == (second, first)


@pytest.mark.parametrize("name", ["", "nowhere", "test_nothing.acdc.yaml", "behaviour.yaml"])
def test_a_place_without_a_hypothesis_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "behaviour.yaml").touch()
    with pytest.raises(BadSetting, match="there is no hypothesis file at"):
        hypothesis_files([tmp_path / name])


def test_a_malformed_file_keeps_no_other_from_being_tested(tmp_path: Path) -> None:
    bad = write(tmp_path, changed("at_most: 6", "at_mots: 6"), "test_a.acdc.yaml")
    good = write(tmp_path, name="test_b.acdc.yaml")
    first, *others = run([bad, good])
    assert isinstance(first.error, BadHypothesisFile)
    assert (first.name, first.claim, first.verdict) == (str(bad), None, None)
    assert [outcome.name for outcome in others] == [f"{good}::{name}" for name in ("behaviour", "faithfulness", "size")]
    assert all(outcome.verdict and outcome.verdict.passed for outcome in others)


def test_a_claim_that_cannot_be_measured_keeps_no_other_from_being_tested(tmp_path: Path) -> None:
    behaviour, faithfulness, size = run([write(tmp_path)], str(untrained(tmp_path / "untrained")))
    assert behaviour.verdict is not None
    assert not behaviour.verdict.passed
    assert isinstance(faithfulness.error, UnmeasurableBehaviour)
    assert size.verdict is not None
    assert size.verdict.passed


def test_what_is_recorded_holds_from_then_on(tmp_path: Path) -> None:
    file = write(tmp_path, claiming("  kl: {tolerance: 0}\n  edges: {tolerance: 0}\n  size: {at_most: 6}\n"))

    def passed(*, update: bool = False) -> list[bool]:
        return [bool(outcome.verdict and outcome.verdict.passed) for outcome in run([file], update=update)]

    assert passed() == [False, True, False]
    assert passed(update=True) == [True, True, True]
    assert passed() == [True, True, True]


def test_a_circuit_whose_record_is_of_something_else_is_tested_only_where_that_is_asked_for(
    found: acdc.Result, tmp_path: Path
) -> None:
    claims = "claims: {size: {at_least: 1}, faithfulness: {at_least: 0.5}}\n"
    file = write(tmp_path, f"task: periodic\ncircuit: circuit.json\n{claims}")
    record = found.circuit.provenance

    def outcomes(part: str, *, anyway: bool = False, model: str | Model | None = None, **changes: object) -> list[str]:
        replace(found.circuit, provenance={**record, part: {**record[part], **changes}}).save(tmp_path / "circuit.json")
        told: list[str] = []
        made = run([file], model, anyway=anyway, tell=told.append)
        words = [str(one.error) if one.error else str(one.verdict and one.verdict.passed) for one in made]
        return [words[0].partition(";")[0], *(line.removeprefix(f"{file}: ") for line in told)]

    weights = "the weights are not those the circuit was found with"
    assert outcomes("task") == ["True"]
    assert outcomes("model", weights="sha256:0") == [weights]
    assert outcomes("model", weights="sha256:0", anyway=True) == ["True", weights]
    assert outcomes("model", weights="sha256:0", model="periodic-2l") == ["True", f"{weights}, as asked (--model)"]
    assert outcomes("model", model=load_named("periodic-2l", SETUP)) == ["True"]
    hashed = {"count": 6, "hash": "sha256:0"}
    assert outcomes("prompts", judgement=hashed) == ["the prompts are not those the circuit was found with"]
    file.write_text(f"task: periodic\nmodel: periodic-2l\ncircuit: circuit.json\n{claims}")
    assert outcomes("model", weights="sha256:0") == ["True", f"{weights}, as asked (--model)"]


def test_a_task_and_a_model_made_in_python_are_claimed_of_by_their_names(tmp_path: Path) -> None:
    mine = replace(tasks.get("periodic"), name="mine")
    file = write(tmp_path, claiming("  behaviour: {at_least: 0.9}\n  kl: {at_most: 0.1}\n").replace("periodic", "mine"))
    [refused] = run([file])
    assert isinstance(refused.error, BadHypothesisFile)
    assert "unknown task: got 'mine'" in str(refused.error)
    model = load_named("periodic-2l", SETUP)
    outcomes = list(run([file], model, in_memory=[mine]))
    assert [bool(one.verdict and one.verdict.passed) for one in outcomes] == [True, True]
