"""What nobody asked for suits the size of the graph, and is told where that is large."""

from __future__ import annotations

from acdc.discovery.defaults import Defaults
from acdc.graphs.computation import ComputationalGraph
from acdc.settings import Edges, KeptFaithfulness, Method, Minutes

SMALL, LARGE = ComputationalGraph(4, 8, 128), ComputationalGraph(30, 9, 576)


def test_a_small_graph_or_one_not_known_is_pruned_to_a_fraction() -> None:
    for graph in (SMALL, None):
        assert Defaults.of(graph, method=None, goal=None, prompts=None) == Defaults(Method(), KeptFaithfulness(), 64)


def test_a_large_graph_is_searched_for_minutes_and_that_is_told() -> None:
    chosen = Defaults.of(LARGE, method=None, goal=None, prompts=None)
    assert (chosen.method, chosen.goal, chosen.prompts) == (Method("masks"), Minutes(10), 64)
    assert chosen.why.startswith("the model has 123,211 edges, so by default: method masks (--method), 64 prompts")


def test_what_is_given_is_taken_and_not_told() -> None:
    chosen = Defaults.of(LARGE, method=Method("eap"), goal=Edges(9), prompts=5)
    assert chosen == Defaults(Method("eap"), Edges(9), 5, "")
    assert Defaults.of(LARGE, method=Method("eap"), goal=Edges(9), prompts=None).why == (
        "the model has 123,211 edges, so by default: 64 prompts (--prompts)"
    )
