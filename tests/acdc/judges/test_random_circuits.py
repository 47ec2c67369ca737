"""Random circuits are live throughout, exactly as large as asked, and drawn as they say."""

from __future__ import annotations

from collections import Counter

import pytest

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.judges.random_circuits import DRAWS, Draw, random_circuits

GRAPH = ComputationalGraph(3, 4, 8)
NAMES = ["input->a0.h1<v>", "a0.h1->m1", "m1->a2.h3<k>", "a2.h3->logits", "input->a2.h3<q>", "a0.h1->a2.h3<v>"]
SMALL = Circuit.from_names(GRAPH, NAMES)


@pytest.mark.parametrize("kind", DRAWS)
def test_all_edges_are_live_and_as_many_as_the_circuit_s(kind: Draw) -> None:
    with_dead = Circuit.from_names(GRAPH, [*NAMES, "input->m0", "m0->a1.h0<q>"])
    drawn = random_circuits(with_dead, 200, kind)
    assert {len(circuit) for circuit in drawn} == {len(NAMES)}, "dead edges are no part of the size"
    assert all(circuit.pruned() == circuit for circuit in drawn)
    assert len({circuit.edges for circuit in drawn}) > 150


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("every", [2, 3, 10])
def test_sizes_up_to_half_of_the_model_are_met_exactly(kind: Draw, every: int) -> None:
    some = Circuit(GRAPH, frozenset([*GRAPH.edges()][::every])).pruned()
    assert len(some) > 5
    assert {len(each) for each in random_circuits(some, 3, kind)} == {len(some)}


def test_there_is_one_circuit_of_one_edge() -> None:
    only = Circuit.from_names(GRAPH, ["input->logits"])
    assert [random_circuits(only, 2, kind) for kind in DRAWS] == [[only, only], [only, only]]


def test_stratified_circuits_have_as_many_edges_between_any_two_layers() -> None:
    def profile(circuit: Circuit) -> Counter[tuple[object, ...]]:
        ends = [(edge.sender, edge.receiver) for edge in circuit.edges]
        return Counter((one.kind, one.layer, other.kind, other.layer) for one, other in ends)

    drawn = random_circuits(SMALL, 100, "layer-stratified")
    assert all(profile(circuit) == profile(SMALL) for circuit in drawn)
    uniform = random_circuits(SMALL, 100, "uniform")
    assert any(profile(circuit) != profile(SMALL) for circuit in uniform)


def test_outside_no_edge_is_the_circuit_s() -> None:
    drawn = random_circuits(SMALL, 100, "uniform", outside=True)
    assert all(not circuit.edges & SMALL.edges and len(circuit) == len(SMALL) for circuit in drawn)


def test_a_seed_repeats_the_draw_and_another_does_not() -> None:
    for kind in DRAWS:
        assert random_circuits(SMALL, 5, kind, 1) == random_circuits(SMALL, 5, kind, 1)
        assert random_circuits(SMALL, 5, kind, 1) != random_circuits(SMALL, 5, kind, 2)


def test_what_cannot_be_drawn_is_refused() -> None:
    for circuit, count, outside in (
        (Circuit.from_names(GRAPH, ["input->m0"]), 10, False),
        (SMALL, 0, False),
        (Circuit.full(GRAPH), 1, True),
    ):
        with pytest.raises(BadSetting):
            random_circuits(circuit, count, "uniform", outside=outside)
