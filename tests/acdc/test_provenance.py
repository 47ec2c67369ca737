"""What a circuit file says of its origin is written once and read back once, and what is not said is not made up."""

from __future__ import annotations

from typing import Any

import pytest

import acdc
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadCircuitFile
from acdc.provenance import MEASUREMENT, Provenance
from acdc.settings import Edges, Method, Setup

GRAPH = ComputationalGraph(1, 1, 4)


def saying(**provenance: Any) -> Circuit:
    return Circuit(GRAPH, frozenset(Circuit.from_names(GRAPH, ["input->logits"]).edges), {}, provenance)


def test_what_is_read_is_written_again(found: acdc.Result) -> None:
    assert Provenance.of(found.circuit).to_json() == found.circuit.provenance


def test_what_a_later_version_says_besides_is_kept() -> None:
    said = {"colour": "blue", "model": {"name": "m", "licence": "MIT"}, "algorithm": {"name": "new", "depth": 3}}
    assert Provenance.of(saying(**said)).to_json() == said


def test_a_file_that_says_nothing_claims_nothing() -> None:
    origin = Provenance.of(saying())
    assert origin.to_json() == origin.measurement() == {}
    assert origin.title == "a behaviour its file does not name"
    for asked in (origin.setup, origin.search, origin.task_name, origin.model_name):
        with pytest.raises(BadCircuitFile, match="the circuit's record lacks"):
            asked()


def test_setup_and_search_are_those_said() -> None:
    origin = Provenance.of(
        saying(
            model={"name": "m", "dtype": "float64"},
            task={"name": "t", "file": "/there/t.yaml"},
            prompts={"count": 8, "seed": 3, "only_correct": True},
            ablation="mean",
            metric={"name": "kl"},
            algorithm={"name": "eap", "settings": {"name": "eap"}, "goal": {"kind": "Edges", "count": 5}},
        )
    )
    assert origin.setup() == Setup("kl", "mean", 8, 3, only_correct=True).on(dtype="float64")
    assert origin.search() == (Method("eap"), Edges(5))
    assert (origin.task_name(), origin.model_name()) == ("/there/t.yaml", "m")
    assert set(origin.measurement()) == set(MEASUREMENT) - {"constants"}
    assert origin.title == "t on m"


def test_a_title_says_what_weights_were_dequantised_from() -> None:
    origin = Provenance.of(saying(model={"name": "m", "quantisation": "Q4_1"}, task={"name": "t"}))
    assert origin.title == "t on m (weights dequantised from Q4_1)"
    assert origin.model_name() == "m"


@pytest.mark.parametrize("part", ["task", "model"])
def test_what_was_made_in_python_cannot_be_found_by_its_name(part: str) -> None:
    origin = Provenance.of(saying(**{part: {"name": "mine", "in_memory": True}}))
    with pytest.raises(BadCircuitFile, match=f"a {part} made in Python, 'mine'"):
        origin.task_name() if part == "task" else origin.model_name()


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"model": {"revision": "x"}}, "model.name"),
        ({"prompts": {"seed": "3"}}, "prompts.seed"),
        ({"prompts": {"only_correct": "yes"}}, "prompts.only_correct"),
        ({"prompts": {"judgement": {"count": 4, "hash": 7}}}, "prompts.judgement.hash"),
        ({"ablation": 3}, "ablation"),
        ({"algorithm": {"name": "acdc", "largest": {"edge": "input->logits"}}}, "algorithm.largest.score"),
    ],
)
def test_what_is_not_of_its_kind_is_refused_with_its_place(said: dict[str, Any], where: str) -> None:
    with pytest.raises(BadCircuitFile, match=f"says under '{where}' cannot be understood"):
        Provenance.of(saying(**said))
