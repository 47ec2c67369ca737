"""Where the nodes of a circuit by position stand on the page."""

from __future__ import annotations

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.drawing.by_position import Box, SpanColumns
from acdc.graphs.drawing.render import dot
from acdc.graphs.nodes import INPUT, LOGITS, Node

GRAPH = ComputationalGraph(n_layers=2, n_heads=3, d_model=8, spans=("IO", "S1", "S2", "END"))
NAMES = [
    "input->a0.h1<k>@S1",
    "input->a0.h1<q>@S2",
    "a0.h1->m0@S2",
    "m0->a1.h0<v>@S2",
    "m0->a1.h2<v>@S2",
    "a1.h0->logits",
    "a1.h2->logits",
]
CIRCUIT = Circuit.from_names(GRAPH, NAMES)


def test_a_node_stands_in_the_column_of_every_span_at_which_it_is_read() -> None:
    across = SpanColumns.of(CIRCUIT).across
    head, mlp = Node("head", 0, 1), Node("mlp", 0)
    top = {Box(Node("head", 1, head), "END") for head in (0, 2)}
    assert set(across) == {
        Box(INPUT, "S1"),
        Box(INPUT, "S2"),
        Box(head, "S2"),
        Box(mlp, "S2"),
        *top,
        Box(LOGITS, "END"),
    }


def test_queries_and_mlps_are_fed_within_a_column_and_values_from_another() -> None:
    ends = {(line.edge.name, line.start.span, line.end.span) for line in SpanColumns.of(CIRCUIT).lines}
    assert ("input->a0.h1<q>@S2", "S2", "S2") in ends
    assert ("input->a0.h1<k>@S1", "S1", "S2") in ends
    assert ("m0->a1.h0<v>@S2", "S2", "END") in ends
    assert ("a1.h0->logits", "END", "END") in ends
    assert len(ends) == len(NAMES)


def test_keys_go_to_every_column_from_theirs_on_at_which_their_head_is_read() -> None:
    circuit = CIRCUIT | Circuit.from_names(GRAPH, ["a0.h1->m0@END", "a0.h1->m0@IO", "m0->logits"])
    spans = [line.end.span for line in SpanColumns.of(circuit).lines if line.edge.name == "input->a0.h1<k>@S1"]
    assert spans == ["END", "S2"]


def test_columns_stand_in_the_order_of_the_spans_and_nodes_of_one_apart() -> None:
    places = SpanColumns.of(CIRCUIT)
    assert list(places.middles) == ["S1", "S2", "END"]
    assert places.middles["S1"] < places.middles["S2"] < places.middles["END"]
    one, other = (places.across[Box(Node("head", 1, head), "END")] for head in (0, 2))
    assert abs(one - other) >= 1


def test_the_picture_has_a_box_for_each_and_says_the_spans() -> None:
    text = dot(CIRCUIT)
    for name in ("a0.h1@S2", "m0@S2", "input@S1", "logits@END"):
        assert f'"{name}"' in text
    assert '"a0.h1@S2":k:s' in text
    assert "label=S1" in text
    assert dot(CIRCUIT) == text
