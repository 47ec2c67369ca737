"""A discovery on split MLPs: what is chosen, found, written and judged again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from acdc import tasks
from acdc.discovery.discover import Result, discover
from acdc.errors import BadSetting, ChangedSubject
from acdc.features.effects import first_order_effects
from acdc.features.named import fitted_units
from acdc.features.split import MOST_APART, split_model
from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing import render
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.mib import to_mib
from acdc.ground_truth.superposition import LAYER, superposed
from acdc.judges.evaluation import evaluate
from acdc.models import load_model
from acdc.problem import Problem
from acdc.settings import Edges, KeptFaithfulness, Setup
from acdc.tasks.metrics import metric
from acdc.tasks.models import shipped_dictionary

SAE = "everyday-4l-m0-sae"


@pytest.fixture(scope="module")
def found() -> Result:
    return discover("ioi", method="eap", goal=Edges(300), setup=Setup("logit_difference", prompts=8, split=SAE))


def test_a_circuit_of_features_is_found_and_keeps_its_names(found: Result, tmp_path: Path) -> None:
    graph = found.circuit.graph
    assert graph.parts(0)[-2:] == ("rest", "error")
    assert len(graph.parts(0)) == MOST_APART + 2
    assert any(edge.sender.part.startswith("f") for edge in found.circuit.edges)
    found.circuit.save(tmp_path / "circuit.json")
    data = json.loads((tmp_path / "circuit.json").read_text())
    assert (data["schema"], data["model"]["split"]) == ("acdc.circuit/2", SAE)
    assert data["features"]["m0"]["dictionary"] == SAE
    assert 0.8 < data["features"]["m0"]["explained"] < 1
    assert Circuit.load(tmp_path / "circuit.json") == found.circuit
    assert Circuit.from_json(found.circuit.to_json()).graph == graph


def test_the_circuit_is_judged_again_from_its_file_alone(found: Result) -> None:
    again = evaluate(Circuit.from_json(json.loads(json.dumps(found.circuit.to_json()))))
    assert again.normalised.value == pytest.approx(found.faithfulness.normalised.value, abs=1e-4)


def test_features_of_other_files_are_refused(tmp_path: Path) -> None:
    folder = shipped_dictionary(SAE)
    assert folder is not None
    shutil.copytree(folder, tmp_path / "sae")
    setup = Setup("logit_difference", prompts=4, split=str(tmp_path / "sae"))
    circuit = discover("ioi", method="eap", goal=Edges(100), setup=setup).circuit
    config = tmp_path / "sae" / "cfg.json"
    config.write_text(config.read_text().replace('"k": 12', '"k": 11'))
    with pytest.raises(ChangedSubject, match="not those whose features the circuit was found with"):
        evaluate(circuit)


def test_the_features_of_most_effect_are_senders() -> None:
    model = load_model("everyday-4l")
    problem = Problem(model, tasks.get("ioi").build(model.tokenizer, 8, 0).discovery, metric("logit_difference"))
    effects = first_order_effects(problem, fitted_units(problem, SAE).units).abs()
    chosen = [int(name[1:]) for name in split_model(problem, SAE).graph.parts(0) if name[1:].isdigit()]
    others = [number for number in range(len(effects)) if number not in chosen]
    assert float(effects[chosen].min()) >= float(effects[others].max())


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("m0,m0", "splits m0 twice"),
        (f"m0,{SAE}", "splits m0 twice"),
        ("m0,,m1", "commas between"),
        ("m9", "only 4 layers"),
        ("nowhere", "is no folder"),
    ],
)
def test_what_cannot_be_split_is_refused(split: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        discover("ioi", method="eap", goal=Edges(10), setup=Setup("logit_difference", prompts=4, split=split))
    assert isinstance(error.value, BadSetting) or "layers" in said or "folder" in said


@pytest.mark.parametrize("method", ["acdc", "eap-ig", "shortlist"])
def test_every_kind_of_method_finds_a_circuit_of_neurons(method: str) -> None:
    made = superposed(0, dtype=torch.float32)
    setup = Setup("logit_difference", prompts=8, split=f"m{LAYER}")
    found = discover(made.known.task, made.known.model, method=method, goal=KeptFaithfulness(0.9), setup=setup)
    assert any(edge.sender.part.startswith("n") for edge in found.circuit.edges)
    assert found.faithfulness.normalised.value > 0.6


def streams(path: Path) -> str:
    """Two small dictionaries of everyday-4l, drawn at random with directions that say all: of a1's output and of r1."""
    words = []
    for layer, name in ((1, "hook_attn_out"), (1, "hook_resid_post")):
        folder = path / name
        folder.mkdir()
        shape = {"architecture": "standard", "d_in": 128, "d_sae": 256, "dtype": "float32", "device": "cpu"}
        usual = {"apply_b_dec_to_input": False, "normalize_activations": "none", "reshape_activations": "none"}
        place = {"metadata": {"model_name": "everyday-4l", "hook_name": f"blocks.{layer}.{name}"}}
        (folder / "cfg.json").write_text(json.dumps({**shape, **usual, **place}))
        both = torch.cat((torch.eye(128), -torch.eye(128)))  # each coordinate, up and down
        weights = {"W_enc": both.T.contiguous(), "W_dec": both, "b_enc": torch.zeros(256), "b_dec": torch.zeros(128)}
        save_file(weights, folder / "sae_weights.safetensors")
        words.append(str(folder))
    return ",".join(words)


def test_attention_and_the_residual_stream_are_split_and_judged_again_from_the_file(tmp_path: Path) -> None:
    setup = Setup("logit_difference", prompts=4, split=streams(tmp_path))
    found = discover("ioi", method="eap", goal=KeptFaithfulness(0.8), setup=setup)
    graph = found.circuit.graph
    assert [split.node.name for split in graph.splits] == ["a1", "r1"]
    assert found.faithfulness.normalised.value > 0.5
    senders = {edge.sender.name for edge in found.circuit.edges}
    assert any(name.startswith("r1.f") for name in senders)
    assert not any(name.startswith("a1.h") for name in senders)
    found.circuit.save(tmp_path / "circuit.json")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert loaded == found.circuit
    assert set(loaded.provenance["features"]) == {"a1", "r1"}
    again = evaluate(loaded)
    assert again.normalised.value == pytest.approx(found.faithfulness.normalised.value, abs=1e-4)
    dot = render.dot(loaded)
    assert '"r1" -> "r1.' in dot or "r1 -> " in dot
    with pytest.raises(DifferentGraphs, match="no parts of nodes"):
        to_mib(loaded)
