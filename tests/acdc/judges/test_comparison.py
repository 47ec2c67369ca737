"""Two circuits beside each other: what is gained, what is lost, and how faithful each is on whose prompts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import acdc
from acdc.errors import WrongModel
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.nodes import Edge
from acdc.judges.comparison import Difference, compare
from tests.acdc.discoveries import SETUP, periodic

GRAPH = ComputationalGraph(2, 1, 4)


def edge(sender: str) -> Edge:
    return Edge.parse(f"{sender}->logits")


def circuit(metric: str = "kl", **scores: float) -> Circuit:
    known = {edge(sender): score for sender, score in scores.items()}
    return Circuit(GRAPH, frozenset(known), known, {"metric": {"name": metric}})


A, B = circuit(input=3.0, m0=-2.0, m1=0.5), circuit(m0=-2.5, m1=2.5, input=3.0)


def test_edges_are_lost_gained_or_kept() -> None:
    found = Difference(A, Circuit(GRAPH, frozenset(map(edge, ("m0",)))) | circuit(m0=1.0), ())
    assert (found.lost, found.gained, found.kept) == ((edge("input"), edge("m1")), (), (edge("m0"),))
    assert Difference(found.b, A, ()).gained == found.lost
    assert found.jaccard == pytest.approx(1 / 3)


def test_edges_in_both_come_with_their_change_the_largest_first() -> None:
    found = Difference(A, B, ())
    assert found.kept == (edge("m1"), edge("m0"), edge("input"))
    assert [found.change(one) for one in found.kept] == [2.0, -0.5, 0.0]


def test_scores_of_different_kinds_are_not_subtracted() -> None:
    found = Difference(A, circuit("nll", m0=1.0), ())
    assert not found.same_scores
    assert found.change(edge("m0")) is None
    assert found.to_json()["edges"]["kept"] == [{"edge": "m0->logits", "a": -2.0, "b": 1.0, "change": None}]


def test_circuits_with_the_same_prompts_are_measured_once(found: acdc.Result) -> None:
    smaller = found.circuit.without(found.circuit.ordered()[:1])
    (measured,) = compare(found.circuit, smaller).measured
    assert measured.prompts == "A and B"
    assert measured.a == found.faithfulness
    assert measured.b.normalised.value < measured.a.normalised.value


def test_each_is_measured_on_the_prompts_of_both(found: acdc.Result) -> None:
    other = periodic(replace(SETUP, seed=8, ablation="zero", metric="kl"))
    told = compare(found.circuit, other.circuit)
    first, second = told.measured
    assert (first.prompts, second.prompts) == ("A", "B")
    assert first.a == found.faithfulness
    assert second.b == other.faithfulness
    assert first.b == acdc.evaluate(other.circuit, setup=SETUP)
    assert second.a != first.a
    data = json.loads(json.dumps(told.to_json()))
    assert [(one["prompts"], one["ablation"]) for one in data["faithfulness"]] == [("A", "resample"), ("B", "zero")]


def test_a_circuit_of_nowhere_is_measured_on_the_other_s_prompts(found: acdc.Result) -> None:
    bare = Circuit(found.circuit.graph, found.circuit.edges)
    told = compare(bare, found.circuit)
    assert [one.prompts for one in told.measured] == ["B"]
    assert told.measured[0].a == told.measured[0].b
    assert told.unmeasured.startswith("A has no prompts to measure on: ")
    assert compare(bare, bare).measured == ()


def test_circuits_of_different_graphs_are_refused() -> None:
    other = Circuit.empty(ComputationalGraph(3, 1, 4))
    with pytest.raises(DifferentGraphs, match=r"A of one with 2 layers.*B of one with 3 layers.*same model"):
        compare(A, other)


def test_circuits_of_different_models_need_a_model_to_measure_both_on(found: acdc.Result) -> None:
    model = {**found.circuit.provenance["model"], "weights": "sha256:0123456789abcdef"}
    other = replace(found.circuit, provenance={**found.circuit.provenance, "model": model})
    with pytest.raises(WrongModel, match=r"A of periodic-2l \(sha256:.*B of periodic-2l \(sha256:0.*\(--model\)"):
        compare(found.circuit, other)
    assert compare(found.circuit, other, model="periodic-2l").measured[0].a == found.faithfulness
