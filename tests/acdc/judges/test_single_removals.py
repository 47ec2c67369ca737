"""What a circuit keeps without one of its edges is measured for that very circuit."""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.judges.faithfulness import faithfulness
from acdc.judges.single_removals import MOST, count, single_removals
from acdc.problem import Problem


def some_edges(graph: ComputationalGraph, number: int) -> Circuit:
    edges = random.Random(0).sample(list(graph.edges()), number)
    return Circuit(graph, frozenset(edges), {edge: float(index) for index, edge in enumerate(edges)})


def test_each_of_the_strongest_edges_is_removed_alone(measurable: Problem) -> None:
    circuit = some_edges(measurable.graph, MOST + 3)
    removals = single_removals(measurable, circuit)
    assert [one.edge for one in removals] == list(circuit.strongest_first()[:MOST])
    for one in (removals[0], removals[-1]):
        alone = faithfulness(measurable, circuit.without([one.edge]))
        for name in ("normalised", "metric", "kl", "kl_tail"):
            measured, wanted = (astuple(getattr(whole, name)) for whole in (one.without, alone))
            assert measured == pytest.approx(wanted, abs=1e-9), name
        assert (one.without.size, one.without.accuracy) == (alone.size, alone.accuracy)


def test_of_a_large_circuit_in_a_large_model_fewer_are_removed_but_some_always() -> None:
    small, large = ComputationalGraph(4, 8, 8), ComputationalGraph(12, 12, 8)
    assert [count(some_edges(small, size)) for size in (0, 300, 1_000)] == [MOST, MOST, MOST]
    assert [count(some_edges(large, size)) for size in (0, 7, 300, 1_000, 20_000)] == [MOST, MOST, 10, 5, 5]


def test_a_circuit_without_edges_has_none_to_remove(measurable: Problem) -> None:
    assert single_removals(measurable, Circuit.empty(measurable.graph)) == ()
