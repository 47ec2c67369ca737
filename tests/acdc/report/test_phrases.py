"""A circuit in a phrase."""

from __future__ import annotations

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.judges.stability import Agreement
from acdc.report import phrases


def test_a_circuit_of_a_large_model_is_more_than_none_of_it() -> None:
    graph = ComputationalGraph(12, 12, 768)
    assert phrases.size(Circuit.from_names(graph, ["input->a0.h0<v>"])) == "1 of 32,491 edges (0.003%), 2 nodes, 1 head"


def test_agreement_is_told_in_words() -> None:
    assert phrases.agreement(Agreement(20, 0.875, 0.9, 0.5, 5, 8)) == (
        "found 20 times again, 5 to 8 edges: Jaccard 0.88 with each other, 0.90 with this circuit, "
        "scores' Spearman 0.50"
    )
    assert phrases.agreement(Agreement(1, None, 0.5, None, 1, 1)) == (
        "found 1 time again, 1 edge: Jaccard 0.50 with this circuit"
    )
    assert phrases.repeated(None) == {}
