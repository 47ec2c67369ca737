"""The circuits of all sizes that a page can show."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from acdc.discovery.family import EVERY, beginnings, family
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import faithfulness
from acdc.problem import Problem


def joining(graph: ComputationalGraph, seed: int = 0) -> dict[Edge, float | None]:
    """All edges in an order by chance, the first joining at the highest score."""
    edges = list(graph.edges())
    random.Random(seed).shuffle(edges)
    return {edge: float(len(edges) - index) for index, edge in enumerate(edges)}


def found_at(graph: ComputationalGraph, order: dict[Edge, float | None], size: int) -> Circuit:
    """A beginning of the order that has about so many live edges."""
    edges = list(order)
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        reached = len(Circuit(graph, frozenset(edges[:middle])).pruned()) >= size
        low, high = (low, middle) if reached else (middle + 1, high)
    return Circuit(graph, frozenset(edges[:low])).pruned()


@pytest.mark.parametrize("size", [5, 200, 1_000])
def test_sizes_are_nested_and_stand_a_factor_apart(size: int) -> None:
    graph = ComputationalGraph(5, 5, 8)
    order = joining(graph)
    found = found_at(graph, order, size)
    circuits = beginnings(found, order)
    for smaller, larger in pairwise(circuits):
        assert smaller < larger
        assert len(larger) <= EVERY or len(larger) >= (1.4 if len(smaller) < 300 else 2) * len(smaller)
    assert len(circuits[-1]) <= max(len(found), min(2 * len(found), 2_000))


def test_a_circuit_of_thousands_of_edges_has_few_sizes_and_none_beyond_it() -> None:
    graph = ComputationalGraph(7, 7, 8)
    order = joining(graph)
    found = found_at(graph, order, 2_500)
    sizes = [len(one) for one in beginnings(found, order)]
    assert sizes[-1] <= len(found)
    assert sum(size >= 300 for size in sizes) <= 4


def test_every_size_is_measured_as_that_very_circuit(measurable: Problem) -> None:
    order = joining(measurable.graph)
    found = found_at(measurable.graph, order, 20)
    members = family(measurable, found, order)
    assert found in [one.circuit for one in members]
    for one in (members[0], members[-1]):
        alone = faithfulness(measurable, one.circuit)
        assert one.faithfulness.size == alone.size
        assert one.faithfulness.normalised.value == pytest.approx(alone.normalised.value, abs=1e-12)
