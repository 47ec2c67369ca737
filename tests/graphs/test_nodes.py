"""Every node and edge has one name, and every other text is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acdc.graphs.errors import BadName
from acdc.graphs.nodes import INPUT, LOGITS, SLOTS, Edge, Node, Receiver, span_name

indices = st.integers(0, 200)
heads = st.tuples(indices, indices).map(lambda at: Node("head", *at))
mlps = indices.map(lambda layer: Node("mlp", layer))
nodes = st.one_of(st.just(INPUT), st.just(LOGITS), heads, mlps)
into_heads = st.tuples(nodes, heads, st.sampled_from(SLOTS)).map(lambda parts: Edge(*parts))
into_others = st.tuples(nodes, st.one_of(mlps, st.just(LOGITS))).map(lambda parts: Edge(*parts))
by_position = st.one_of(into_heads, st.tuples(nodes, mlps).map(lambda parts: Edge(*parts)))
spans = st.text("aZ09_.+-", min_size=1)
edges = st.one_of(into_heads, into_others, st.builds(lambda edge, span: edge._replace(span=span), by_position, spans))


@pytest.mark.parametrize(
    ("node", "name"),
    [(INPUT, "input"), (LOGITS, "logits"), (Node("head", 5, 3), "a5.h3"), (Node("mlp", 7), "m7")],
)
def test_nodes_go_by_the_names_of_the_field(node: Node, name: str) -> None:
    assert (node.name, str(node), Node.parse(name)) == (name, name, node)


@pytest.mark.parametrize(
    ("edge", "name"),
    [
        (Edge(Node("head", 5, 3), Node("head", 9, 6), "q"), "a5.h3->a9.h6<q>"),
        (Edge(INPUT, Node("mlp", 0)), "input->m0"),
        (Edge(Node("mlp", 11), LOGITS), "m11->logits"),
        (Edge(Node("head", 5, 3), Node("head", 9, 6), "k", "S1"), "a5.h3->a9.h6<k>@S1"),
        (Edge(INPUT, Node("mlp", 0), None, "-1"), "input->m0@-1"),
    ],
)
def test_edges_go_by_the_names_of_the_field(edge: Edge, name: str) -> None:
    assert (edge.name, str(edge), Edge.parse(name)) == (name, name, edge)


def test_a_receiver_is_named_as_at_the_end_of_an_edge() -> None:
    edge = Edge.parse("a5.h3->a9.h6<v>")
    assert edge.target == Receiver(Node("head", 9, 6), "v")
    assert (str(edge.target), str(Receiver(Node("mlp", 2)))) == ("a9.h6<v>", "m2")
    assert Edge.parse("a5.h3->a9.h6<v>@S1").target == Receiver(Node("head", 9, 6), "v", "S1")
    assert Edge.parse("a5.h3->a9.h6<v>@S1").at_every_span == edge


@given(nodes)
def test_parsing_a_node_undoes_naming_it(node: Node) -> None:
    assert Node.parse(node.name) == node


@given(edges)
def test_parsing_an_edge_undoes_naming_it(edge: Edge) -> None:
    assert Edge.parse(edge.name) == edge


@pytest.mark.parametrize(
    "name", ["", "m", "a5", "a5h3", "a5.h", "h3", "m-1", "m1 ", "Input", "input\n", "a1.h2<q>", "m1.5"]
)
def test_a_text_that_is_no_node_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(BadName) as caught:
        Node.parse(name)
    assert str(caught.value) == f"no node is called {name!r}; nodes are written 'input', 'a5.h3', 'm7' or 'logits'"


@pytest.mark.parametrize(
    "name", ["", "input", "input->", "->m0", "input->m0->m1", "input-m0", "input->a0.h0<x>", "input->a0.h0<q", "x->m0"]
)
def test_a_text_that_is_no_edge_is_refused(name: str) -> None:
    with pytest.raises(BadName, match=r"is called .*; (edges|nodes) are written"):
        Edge.parse(name)


@pytest.mark.parametrize("name", ["input->a0.h0", "input->m0<q>", "m0->logits<v>"])
def test_a_slot_is_said_exactly_of_heads(name: str) -> None:
    with pytest.raises(BadName, match=f"{name}.*exactly when it ends in a head"):
        Edge.parse(name)


@pytest.mark.parametrize("name", ["input->m0@", "input->m0@a b", "input->m0@S1@S2", "input->m0@<q>", "input->m0@é"])
def test_what_can_be_no_span_is_refused(name: str) -> None:
    with pytest.raises(BadName, match="no span is called"):
        Edge.parse(name)


def test_the_logits_have_no_span() -> None:
    with pytest.raises(BadName, match="read at the scored position only; leave out '@END'"):
        Edge.parse("m1->logits@END")


@pytest.mark.parametrize(("text", "name"), [("S1", "S1"), ("first name", "first_name"), (" é! ", "__"), ("", "_")])
def test_a_span_is_named_so_that_an_edge_can_say_it(text: str, name: str) -> None:
    assert span_name(text) == name
    assert Edge.parse(f"input->m0@{name}").span == name


@pytest.mark.parametrize("name", ["m0.n7", "m11.f123", "m3.rest", "m3.error"])
def test_a_part_of_an_mlp_has_a_name_and_is_of_the_whole(name: str) -> None:
    node = Node.parse(name)
    assert node.name == name
    assert node.whole == Node.parse(name.partition(".")[0])


@pytest.mark.parametrize("name", ["m0.n07", "m0.x1", "m0.", "a0.h1.n2", "m0.rest2"])
def test_no_other_parts_are_known(name: str) -> None:
    with pytest.raises(BadName):
        Node.parse(name)


def test_an_edge_may_end_in_a_part_of_an_mlp_alone() -> None:
    edge = Edge.parse("a0.h1->m0.f1")
    assert (edge.name, edge.receiver.part, edge.slot) == ("a0.h1->m0.f1", "f1", None)
    assert Edge.parse("m0.n3->m2.error@S1").name == "m0.n3->m2.error@S1"
    with pytest.raises(BadName, match="exactly when it ends in a head"):
        Edge.parse("input->m0.f1<q>")
    for name in ("input->a0.f1", "m0->r0.f1", "a0.h0->r0mid.error"):
        with pytest.raises(BadName, match="which read as a whole"):
            Edge.parse(name)
