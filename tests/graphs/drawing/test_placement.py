"""Where nodes stand on the page."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph, Split
from acdc.graphs.drawing.placement import columns, rows
from acdc.graphs.nodes import Node

SEQUENTIAL = ComputationalGraph(n_layers=3, n_heads=4, d_model=8)
PARALLEL = ComputationalGraph(n_layers=3, n_heads=4, d_model=8, parallel=True)
ATTENTION_ONLY = ComputationalGraph(n_layers=3, n_heads=4, d_model=8, has_mlp=False)
EVERY_GRAPH = pytest.mark.parametrize("graph", [SEQUENTIAL, PARALLEL, ATTENTION_ONLY])


@EVERY_GRAPH
def test_every_edge_goes_up(graph: ComputationalGraph) -> None:
    full = Circuit.full(graph)
    level = {node: index for index, row in enumerate(rows(full)) for node in row.nodes}
    assert all(level[edge.sender] < level[edge.receiver] for edge in full.edges)


def test_the_mlp_stands_above_the_heads_of_its_layer() -> None:
    labels = [row.label for row in rows(Circuit.full(SEQUENTIAL))]
    assert labels == ["", "layer 0", "layer 0 MLP", "layer 1", "layer 1 MLP", "layer 2", "layer 2 MLP", ""]


def test_in_a_parallel_model_the_mlp_stands_beside_the_heads() -> None:
    stack = rows(Circuit.full(PARALLEL))
    assert [row.label for row in stack] == ["", "layer 0", "layer 1", "layer 2", ""]
    assert Node("mlp", 1) in stack[2].nodes


def test_rows_without_a_node_of_the_circuit_are_left_out() -> None:
    circuit = Circuit.from_names(SEQUENTIAL, ["input->a2.h1<v>", "a2.h1->logits"])
    assert [row.label for row in rows(circuit)] == ["", "layer 2", ""]


def test_the_empty_circuit_stands_nowhere() -> None:
    assert rows(Circuit.empty(SEQUENTIAL)) == ()
    assert columns(Circuit.empty(SEQUENTIAL)) == {}


def test_a_chain_stands_upright() -> None:
    chain = Circuit.from_names(SEQUENTIAL, ["input->a0.h3<v>", "a0.h3->m1", "m1->logits"])
    assert set(columns(chain).values()) == {0.0}


def test_nodes_stand_near_what_they_are_joined_to() -> None:
    crossed = ["a0.h0->a1.h3<v>", "a0.h0->a1.h3<q>", "a0.h3->a1.h0<v>", "a1.h0->a2.h3<k>", "a1.h3->a2.h0<k>"]
    place = columns(Circuit.from_names(SEQUENTIAL, crossed))
    left_first = [place[Node("head", layer, 0)] < place[Node("head", layer, 3)] for layer in range(3)]
    assert left_first in ([True, False, True], [False, True, False])


def test_many_parts_stand_in_several_rows_one_label_for_all() -> None:
    split = Split.of("m0", [f"n{number}" for number in range(50)])
    whole = Circuit.full(ComputationalGraph(1, 2, 8, splits=(split,)))
    parts = [row for row in rows(whole) if row.nodes[0].part]
    assert [(row.label, len(row.nodes)) for row in parts] == [("layer 0 parts", 24), ("", 24), ("", 2)]
    assert [node for row in parts for node in row.nodes] == [node for node in whole.nodes() if node.part]
    assert max(columns(whole).values()) - min(columns(whole).values()) < 30


@EVERY_GRAPH
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_nodes_of_a_row_never_overlap(graph: ComputationalGraph, data: st.DataObject) -> None:
    circuit = Circuit(graph, data.draw(st.frozensets(st.sampled_from(tuple(graph.edges())), max_size=20)))
    place = columns(circuit)
    assert set(place) == set(circuit.nodes())
    for row in rows(circuit):
        assert all(abs(place[one] - place[other]) >= 1 - 1e-9 for one, other in combinations(row.nodes, 2))


def test_a_short_row_leaves_room_for_edges() -> None:
    names = [f"input->a0.h{head}<v>" for head in range(4)] + [f"a0.h{head}->a1.h{head % 2}<v>" for head in range(4)]
    circuit = Circuit.from_names(SEQUENTIAL, names)
    place = columns(circuit)
    gaps = [
        right - left for row in rows(circuit)[1:] for left, right in pairwise(sorted(place[node] for node in row.nodes))
    ]
    assert gaps == pytest.approx([1, 1, 1, 2])
