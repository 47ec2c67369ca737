"""A circuit is measured on the weights, tokenizer and prompts it was found with, or it is said that it is not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import acdc
from acdc import graphs, tasks
from acdc.discovery.rediscover import rediscover
from acdc.errors import ChangedSubject
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.model import Model
from acdc.hashes import NO_TOKENIZER, tokenizer_hash, weights_hash
from acdc.judges.evaluation import subject
from acdc.judges.same_subject import Differences
from acdc.models import load_named
from acdc.provenance import Provenance
from acdc.settings import Setup
from tests.acdc.discoveries import SETUP


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model's checkpoint, as a directory of one's own."""
    return Path(
        shutil.copytree(
            tasks.shipped_model("periodic-2l"), tmp_path_factory.mktemp("own") / "own", copy_function=shutil.copy
        )
    )


@pytest.fixture(scope="module")
def retrained(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, its weights larger by 3%."""
    other = Path(shutil.copytree(directory, tmp_path_factory.mktemp("other") / "retrained"))
    weights = {name: weight * 1.03 for name, weight in load_file(other / "model.safetensors").items()}
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    return other


@pytest.fixture(scope="module")
def with_bos(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, its tokenizer putting one of its tokens before every text."""
    other = Path(shutil.copytree(directory, tmp_path_factory.mktemp("other") / "bos"))
    data = json.loads((other / "tokenizer.json").read_text("utf-8"))
    token, number = next(iter(data["model"]["vocab"].items()))
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }
    (other / "tokenizer.json").write_text(json.dumps(data), "utf-8")
    return other


def named(circuit: Circuit, model: Path) -> Circuit:
    """The circuit, as if found on the model in that directory."""
    return recorded(circuit, "model", name=str(model))


def recorded(circuit: Circuit, part: str, **changes: Any) -> Circuit:
    """The circuit with another record."""
    return replace(circuit, provenance={**circuit.provenance, part: {**circuit.provenance[part], **changes}})


def told(circuit: Circuit, setup: Setup = SETUP, **given: Any) -> list[str]:
    """What is said of a subject that is not refused."""
    lines: list[str] = []
    subject(circuit, setup=setup, tell=lines.append, **given)
    return lines


def test_nothing_is_said_of_what_is_as_it_was(found: acdc.Result, directory: Path) -> None:
    assert told(found.circuit) == []
    assert told(named(found.circuit, directory)) == []
    assert told(found.circuit, model=str(directory)) == []
    assert told(found.circuit, task="periodic") == []


@pytest.mark.parametrize("change", ["retrained", "with_bos"])
def test_a_changed_checkpoint_is_refused_unless_it_is_what_is_asked_about(
    found: acdc.Result, change: str, request: pytest.FixtureRequest
) -> None:
    other: Path = request.getfixturevalue(change)
    changed = named(found.circuit, other)
    what = "the weights are" if change == "retrained" else "the tokenizer and its special tokens are"
    with pytest.raises(ChangedSubject, match=rf"^{what} not those .*\(--anyway, in Python anyway=True\)$"):
        acdc.evaluate(changed)
    assert told(changed, anyway=True)[0] == f"{what} not those the circuit was found with"
    lines = told(found.circuit, model=str(other))
    assert lines[0] == f"{what} not those the circuit was found with, as asked (--model)"
    assert (len(lines), lines[-1].startswith("the prompts are not")) == (
        (1, False) if change == "retrained" else (2, True)
    )


def test_python_warns_of_what_it_goes_on_with(found: acdc.Result, retrained: Path) -> None:
    with pytest.warns(UserWarning, match="the weights are not those"):
        measured = acdc.evaluate(named(found.circuit, retrained), anyway=True)
    assert measured.metric != found.faithfulness.metric


def test_a_behaviour_of_other_prompts_is_refused_whatever_seed_is_asked_for(found: acdc.Result) -> None:
    for side in ("judgement", "discovery"):
        hashed = {**found.circuit.provenance["prompts"][side], "hash": "sha256:0"}
        changed = recorded(found.circuit, "prompts", **{side: hashed})
        for setup in (SETUP, replace(SETUP, seed=9, prompts=4)):
            with pytest.raises(ChangedSubject, match=r"^the prompts are not those the circuit was found with; "):
                acdc.evaluate(changed, setup=setup)
        assert told(changed, task="periodic") == [
            "the prompts are not those the circuit was found with, as asked (--task)"
        ]


def test_other_prompts_that_are_asked_for_are_told_of(found: acdc.Result) -> None:
    assert told(found.circuit, replace(SETUP, seed=9, prompts=4)) == [
        "the prompts are not those the circuit was found with, as asked (--prompts, --seed)"
    ]
    assert told(found.circuit, replace(SETUP, metric="kl", ablation="zero")) == []


@pytest.mark.parametrize(("dtype", "known"), [("float64", True), ("bfloat16", False)])
def test_weights_are_compared_in_the_precision_of_the_record(
    found: acdc.Result, retrained: Path, dtype: str, known: bool
) -> None:
    setup = SETUP.on(dtype=dtype)
    lines = told(found.circuit, setup)
    assert lines == [] if known else lines[0].endswith("cannot be checked: the record's hash is of float32 weights")
    if known:
        with pytest.raises(ChangedSubject, match="the weights are not"):
            told(named(found.circuit, retrained), setup)


@pytest.mark.parametrize("name", ["planted-or:1", "planted:0"])
def test_models_that_are_made_are_the_same_in_every_precision(name: str) -> None:
    single, double = (load_named(name, Setup().on(dtype=dtype)) for dtype in ("float32", "float64"))
    assert weights_hash(double, torch.float32) == weights_hash(single) != weights_hash(double)


def test_a_record_without_hashes_is_said_to_be_past_checking(found: acdc.Result) -> None:
    old = recorded(found.circuit, "model", weights=None, tokenizer=None)
    assert [line.partition(" cannot be checked")[0] for line in told(old)] == [
        "whether the weights are those the circuit was found with",
        "whether the tokenizer and its special tokens are those the circuit was found with",
    ]
    with pytest.warns(UserWarning, match="cannot be checked: its record does not hold their hash"):
        subject(old, setup=SETUP)
    by_hand = Circuit(found.circuit.graph, found.circuit.edges)  # which claims nothing
    assert told(by_hand, task="periodic", model="periodic-2l") == []


def test_a_tokenizer_is_told_by_what_it_does(directory: Path, with_bos: Path) -> None:
    import transformers as hf

    first, again, other = (hf.AutoTokenizer.from_pretrained(path) for path in (directory, directory, with_bos))
    again("a text", padding="max_length", max_length=9, truncation=True)  # leaves traces in its serialisation
    assert tokenizer_hash(first) == tokenizer_hash(again) != tokenizer_hash(other)
    assert tokenizer_hash(None) == NO_TOKENIZER


def test_what_differs_unasked_is_all_told_at_once() -> None:
    with pytest.raises(ChangedSubject, match=r"^one; two; give back"):
        Differences(unasked=("one", "two")).refuse_or_tell(anyway=False)
    Differences(asked=("one",)).refuse_or_tell(anyway=False)


@pytest.fixture(scope="module")
def bridged() -> Model:
    """A model that is nowhere but in memory."""
    loaded = load_named("periodic-2l", SETUP)
    return acdc.model_from_bridge(loaded.bridge, name="mine", tokenizer=loaded.tokenizer)


def test_a_model_and_a_task_in_memory_are_measured_but_not_found_again(bridged: Model) -> None:
    mine = replace(tasks.get("periodic"), name="mine")
    found = acdc.discover(mine, bridged, goal=acdc.Threshold(0.4), setup=SETUP)
    record = found.circuit.provenance
    assert (record["model"]["in_memory"], record["task"]["in_memory"]) == (True, True)
    assert acdc.evaluate(found.circuit, task=mine, model=bridged) == found.faithfulness
    assert acdc.judgement(found.circuit, task=mine, model=bridged).model is bridged
    assert acdc.compare(found.circuit, found.circuit, task=mine, model=bridged).measured[0].a == found.faithfulness
    again = rediscover(found.circuit, task=mine, model=bridged, resamples=0, seeds=1)
    assert again.seeds is not None
    for given, part in (({"model": bridged}, "task"), ({"task": mine}, "model")):
        with pytest.raises(BadCircuitFile, match=rf"with a {part} made in Python, 'mine', .*; give the {part} itself"):
            acdc.evaluate(found.circuit, **given)  # type: ignore[arg-type]


def test_a_loaded_model_is_recorded_by_the_name_that_loads_it(found: acdc.Result) -> None:
    model = graphs.load(tasks.shipped_model("periodic-2l"), dtype=torch.float64)
    again = acdc.discover("periodic", model, goal=acdc.Threshold(0.4), setup=SETUP)
    assert again.circuit.provenance["model"]["name"] == "periodic-2l"
    assert Provenance.of(again.circuit).setup().compute.dtype == "float64"  # its own, whatever the setup says
    assert acdc.evaluate(again.circuit) == again.faithfulness
