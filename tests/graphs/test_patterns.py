"""Names of edges and nodes stand for the edges that one would list by hand."""

from __future__ import annotations

import pytest

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadName, NotInGraph
from acdc.graphs.patterns import check_form, expand

GRAPH = ComputationalGraph(n_layers=2, n_heads=2, d_model=8)


def names(*patterns: str) -> set[str]:
    return {edge.name for edge in expand(GRAPH, patterns)}


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a0.h1->a1.h0<q>", {"a0.h1->a1.h0<q>"}),
        ("a0.h1->logits", {"a0.h1->logits"}),
        ("a0.h1->a1.*<q>", {"a0.h1->a1.h0<q>", "a0.h1->a1.h1<q>"}),
        ("a0.h1->a1.h0", {"a0.h1->a1.h0<q>", "a0.h1->a1.h0<k>", "a0.h1->a1.h0<v>"}),
        ("a0.h1->a1.h0<*>", {"a0.h1->a1.h0<q>", "a0.h1->a1.h0<k>", "a0.h1->a1.h0<v>"}),
        ("a*.h1->m1", {"a0.h1->m1", "a1.h1->m1"}),
        ("m*->logits", {"m0->logits", "m1->logits"}),
        ("*->m0", {"input->m0", "a0.h0->m0", "a0.h1->m0"}),
        ("m0->*<k>", {"m0->a1.h0<k>", "m0->a1.h1<k>"}),
    ],
)
def test_an_edge_pattern_stands_for_these(pattern: str, wanted: set[str]) -> None:
    assert names(pattern) == wanted


def test_nodes_stand_for_all_edges_between_them_input_and_logits() -> None:
    assert names("a0.h1", "m1") == {
        *(f"input->a0.h1<{slot}>" for slot in "qkv"),
        "input->m1",
        "a0.h1->m1",
        "input->logits",
        "a0.h1->logits",
        "m1->logits",
    }


def test_nodes_may_be_patterns() -> None:
    assert names("a0.*") == names("a0.h0", "a0.h1")
    assert names("*") == {edge.name for edge in GRAPH.edges()}


def test_edges_are_added_to_what_nodes_stand_for() -> None:
    assert names("m1", "m0->logits") == names("m1") | {"m0->logits"}


@pytest.mark.parametrize("name", ["", "foo", "a0", "h1", "a0.h1->", "->m0", "a0.h1->m0<x>", "m0.h1", "input->a.h1<q>"])
def test_what_is_no_name_in_any_model_is_refused(name: str) -> None:
    with pytest.raises(BadName, match="are written"):
        check_form(name)
    with pytest.raises(BadName, match="are written"):
        expand(GRAPH, [name])


@pytest.mark.parametrize("name", ["a2.h0", "a0.h2", "m2", "m2->logits", "a1.h0->a0.*<q>", "a5.h0->a1.h0<q>"])
def test_what_stands_for_nothing_in_this_model_is_refused(name: str) -> None:
    check_form(name)
    with pytest.raises(NotInGraph, match="of this model: it has 2 layers, 2 heads per layer and MLPs"):
        expand(GRAPH, [name])


def test_a_slot_of_what_is_no_head_is_refused() -> None:
    with pytest.raises(BadName, match="exactly when it ends in a head"):
        expand(GRAPH, ["a0.h1->m1<q>"])


def test_where_edges_are_by_position_a_name_stands_for_the_spans_it_says_or_for_all() -> None:
    graph = ComputationalGraph(2, 1, 8, spans=("S1", "S1_2", "END"))
    named = {name: {edge.name for edge in expand(graph, [name])} for name in ("m0->m1@S1", "m0->m1@S*", "m0->m1")}
    assert named["m0->m1@S1"] == {"m0->m1@S1"}
    assert named["m0->m1@S*"] == {"m0->m1@S1", "m0->m1@S1_2"}
    assert named["m0->m1"] == {"m0->m1@S1", "m0->m1@S1_2", "m0->m1@END"}
    assert {edge.name for edge in expand(graph, ["a0.h0->a1.h0@END"])} == {
        f"a0.h0->a1.h0<{slot}>@END" for slot in "qkv"
    }
    with pytest.raises(NotInGraph):
        expand(graph, ["m0->m1@IO"])
    with pytest.raises(NotInGraph):
        expand(graph.without_spans, ["m0->m1@S1"])
