"""Rankings and families of circuits against a truth written by hand."""

from __future__ import annotations

import json

import pytest

from acdc.bench.answer import Family, Ranking
from acdc.bench.retrieval import ground_truth
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import NotInGraph
from acdc.graphs.nodes import Edge

# two heads in one layer and no MLP: 9 edges
GRAPH = ComputationalGraph(1, 2, 8, has_mlp=False)
TRUE = frozenset(map(Edge.parse, ("input->a0.h0<v>", "a0.h0->logits")))
SCORES = {
    "a0.h0->logits": -9.0,
    "a0.h1->logits": 7.0,
    "input->a0.h1<q>": 6.0,
    "input->a0.h0<v>": 5.0,
    "input->logits": 5.0,
}


def ranking(scores: dict[str, float] = SCORES) -> Ranking:
    full = Circuit.full(GRAPH)
    return Ranking(Circuit(GRAPH, full.edges, {edge: scores.get(edge.name, 0.0) for edge in full.edges}))


def circuit(*names: str) -> Circuit:
    return Circuit.from_names(GRAPH, names)


def test_edges_are_ranked_by_absolute_score() -> None:
    judged = ground_truth(ranking(), TRUE)
    assert GRAPH.n_edges == 9
    assert judged.edges is not None
    # 7 edges are false; above the second true one stand two of them, and a third is level with it
    assert judged.edges.points == ((0, 0), (0, 0.5), (2 / 7, 0.5), (3 / 7, 1), (1, 1))
    assert judged.edges.pessimistic == pytest.approx((1 + 4 / 7) / 2)
    assert judged.edges.plain == pytest.approx((1 + 4.5 / 7) / 2)


def test_a_node_is_ranked_by_its_strongest_edge_and_input_and_logits_are_no_nodes() -> None:
    judged = ground_truth(ranking(), TRUE)
    assert judged.nodes is not None
    assert judged.nodes.points == ((0, 0), (0, 1), (1, 1))
    turned = ground_truth(ranking({**SCORES, "a0.h1->logits": -10.0}), TRUE)
    assert turned.nodes is not None
    assert turned.nodes.points == ((0, 0), (1, 0), (1, 1))


def test_precision_and_recall_are_those_of_the_live_circuit_of_the_true_size() -> None:
    """The two strongest edges are dead together; the two that live are the ones of the other head."""
    found = ground_truth(ranking(), TRUE).at_true_size
    assert (found.asked, found.edges, found.precision, found.recall) == (2, 2, 0.0, 0.0)
    better = ground_truth(ranking({**SCORES, "input->a0.h1<q>": 0.1, "input->logits": 0.1}), TRUE).at_true_size
    assert (better.precision, better.recall) == (1.0, 1.0)
    three = ground_truth(ranking(), TRUE | {Edge.parse("a0.h1->logits")}).at_true_size
    assert (three.edges, three.precision, three.recall) == (3, 1 / 3, 1 / 3)


def test_a_family_is_judged_by_its_points_and_by_its_circuit_nearest_the_true_size() -> None:
    family = Family(
        GRAPH,
        (
            circuit("input->a0.h0<v>", "a0.h0->logits", "input->logits"),
            circuit("input->logits"),
            circuit("input->a0.h1<v>", "a0.h1->logits", "input->a0.h0<v>", "a0.h0->logits"),
        ),
    )
    judged = ground_truth(family, TRUE)
    assert judged.edges is not None
    assert judged.edges.points == ((0, 0), (1 / 7, 0), (1 / 7, 1), (1, 1))
    assert judged.edges.pessimistic == judged.edges.plain == pytest.approx(6 / 7)
    assert judged.nodes is not None
    assert judged.nodes.pessimistic == 1.0
    found = judged.at_true_size  # 1 and 3 are as near to 2: the smaller
    assert (found.asked, found.edges, found.precision, found.recall) == (2, 1, 0.0, 0.0)


def test_a_family_without_circuits_finds_nothing() -> None:
    judged = ground_truth(Family(GRAPH, ()), TRUE)
    assert judged.edges is not None
    assert (judged.edges.pessimistic, judged.edges.plain) == (0.0, 0.5)
    assert (judged.at_true_size.precision, judged.at_true_size.recall) == (0.0, 0.0)


def test_where_every_head_is_true_there_is_no_curve_of_nodes() -> None:
    judged = ground_truth(ranking(), TRUE | {Edge.parse("a0.h1->logits")})
    assert judged.nodes is None
    assert judged.to_json()["nodes"] is None


def test_a_circuit_within_a_size_is_the_beginning_of_either_order() -> None:
    answer = ranking()
    assert answer.within(1, signed=False) == circuit(), "a0.h0->logits alone is dead"
    assert Edge.parse("a0.h0->logits") not in answer.within(8, signed=True)
    assert answer.within(0, signed=True) == circuit()


def test_a_family_has_no_circuit_between_two_of_its_own() -> None:
    one = circuit("input->a0.h0<v>", "a0.h0->logits")
    family = Family(GRAPH, (one,))
    sizes = [len(family.within(count, signed=signed)) for count in (1, 2, 8, 9) for signed in (True, False)]
    assert sizes == [0, 0, 2, 2, 2, 2, 9, 9]


def test_a_ranking_needs_every_score() -> None:
    with pytest.raises(NotInGraph, match="got 1 of 9"):
        Ranking(Circuit(GRAPH, Circuit.full(GRAPH).edges, {Edge.parse("input->logits"): 1.0}))


def test_a_truth_of_another_model_is_refused() -> None:
    with pytest.raises(NotInGraph):
        ground_truth(ranking(), frozenset({Edge.parse("m0->logits")}))


def test_json_holds_both_areas_and_the_points() -> None:
    data = json.loads(json.dumps(ground_truth(ranking(), TRUE).to_json(), allow_nan=False))
    assert set(data) == {"edges", "nodes", "at_true_size"}
    assert data["nodes"] == {"pessimistic": 1.0, "plain": 1.0, "points": [[0, 0], [0, 1], [1, 1]]}
    assert data["at_true_size"] == {"asked": 2, "edges": 2, "precision": 0.0, "recall": 0.0}
