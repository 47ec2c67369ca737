"""A circuit file is enough to measure its circuit again, and says so when it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import acdc
from acdc import tasks
from acdc.errors import WrongModel
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.model import Model
from acdc.graphs.nodes import LOGITS
from acdc.provenance import Provenance
from acdc.settings import Setup, Threshold
from acdc.tasks.errors import BadPrompts
from acdc.tasks.files.behaviour_file import example
from tests.acdc.discoveries import SETUP
from tests.checkpoints import Checkpoints


@pytest.fixture
def path(found: acdc.Result, tmp_path: Path) -> Path:
    """The circuit's file."""
    found.circuit.save(tmp_path / "circuit.json")
    return tmp_path / "circuit.json"


def test_a_saved_circuit_is_exactly_as_faithful_as_its_file_says(path: Path, found: acdc.Result) -> None:
    measured = acdc.evaluate(path)
    assert measured == found.faithfulness
    assert measured.to_json() == json.loads(path.read_text())["faithfulness"]
    assert acdc.evaluate(str(path)) == acdc.evaluate(Circuit.load(path)) == measured


def test_the_recorded_setup_is_the_one_asked_for(path: Path) -> None:
    assert Provenance.of(Circuit.load(path)).setup() == replace(SETUP, metric="logit_difference")
    setup = Setup("kl", "zero", prompts=4, seed=1).on(dtype="float64")
    result = acdc.discover("periodic", goal=Threshold(0.5), setup=setup)
    assert Provenance.of(result.circuit).setup() == setup
    assert acdc.evaluate(result.circuit) == result.faithfulness


def test_what_another_task_s_prompts_cannot_say_is_refused_before_the_weights_are_loaded(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(name: str, setup: Setup) -> Model:
        raise AssertionError("the weights are loaded")

    monkeypatch.setattr("acdc.judges.evaluation.load_named", never)
    text = example("mine", "periodic-2l")
    (tmp_path / "mine.yaml").write_text(text.replace('" are"', '" nowhere"', 1))
    with pytest.raises(BadPrompts, match=r"mine.yaml:\d+: "):
        acdc.evaluate(path, task=tmp_path / "mine.yaml")


def test_other_prompts_give_other_numbers(path: Path, found: acdc.Result) -> None:
    measured = acdc.evaluate(path, setup=replace(SETUP, seed=11))
    assert measured.size == found.faithfulness.size
    assert measured.metric != found.faithfulness.metric


def test_a_circuit_without_its_core_is_less_faithful(found: acdc.Result) -> None:
    into_logits = [edge for edge in found.circuit.edges if edge.receiver == LOGITS]
    assert acdc.evaluate(found.circuit.without(into_logits)).normalised.value == pytest.approx(0, abs=1e-6)
    assert found.faithfulness.normalised.value > 0.3


def test_a_task_made_in_python_may_be_given(found: acdc.Result) -> None:
    mine = replace(tasks.get("periodic"), name="mine")
    assert acdc.evaluate(found.circuit, task=mine) == found.faithfulness


def test_a_model_of_another_shape_is_refused_whatever_its_tokenizer(path: Path, checkpoints: Checkpoints) -> None:
    other = str(checkpoints.path("gpt2"))
    with pytest.raises(WrongModel, match=r"of a model with 2 layers, 4 heads .* has 3 layers, .*\(--model\)"):
        acdc.evaluate(path, model=other)


def test_the_same_model_by_its_directory_is_not_refused(path: Path, found: acdc.Result) -> None:
    assert acdc.evaluate(path, model=str(tasks.shipped_model("periodic-2l"))) == found.faithfulness


def drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda data: data.pop(key)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop("metric"), "lacks metric.name"),
        (drop("prompts"), "lacks prompts.count"),
        (drop("model"), "lacks model.dtype"),
        (drop("ablation"), "lacks ablation"),
        (lambda data: data.update(metric="kl"), "says under 'metric' cannot be understood: .*'kl'"),
        (
            lambda data: data["prompts"].update(count="many"),
            "under 'prompts.count' cannot be understood: .*'many'",
        ),
        (lambda data: data["prompts"].update(count=1), "record is damaged: 1 prompt is too few"),
        (lambda data: data.update(ablation="median"), "record is damaged: unknown ablation 'median'"),
        (lambda data: data["metric"].update(name="los"), "record is damaged: unknown metric"),
    ],
)
def test_a_record_that_does_not_say_how_to_measure_is_refused(
    path: Path, damage: Callable[[dict[str, Any]], object], message: str
) -> None:
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(BadCircuitFile, match=message):
        acdc.evaluate(path)


def test_a_circuit_of_nowhere_can_be_measured_when_everything_is_given(found: acdc.Result) -> None:
    bare = Circuit(found.circuit.graph, found.circuit.edges)
    with pytest.raises(BadCircuitFile, match="give --task and --model"):
        acdc.evaluate(bare, setup=SETUP)
    assert acdc.evaluate(bare, task="periodic", model="periodic-2l", setup=SETUP) == found.faithfulness
