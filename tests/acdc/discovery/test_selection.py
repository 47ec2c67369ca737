"""Laws of choosing edges by their scores, on random scores of random graphs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acdc.discovery.selection import Rule, Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph, Split
from acdc.graphs.nodes import INPUT, LOGITS, Edge
from tests.graphs.recipes import SHAPES


@dataclass(frozen=True)
class Choice:
    """A small graph, what its scores are drawn with, and how they are chosen from."""

    n_layers: int
    n_heads: int
    shape: dict[str, bool]
    seed: int
    rule: Rule

    def scored(self) -> Circuit:
        """A score of either sign for every edge, with some equal ones among them."""
        graph = ComputationalGraph(self.n_layers, self.n_heads, 8, **self.shape)
        draw = random.Random(self.seed)
        return with_scores(graph, {edge.name: round(draw.gauss(0, 1), 1) for edge in graph.edges()})

    def selection(self) -> Selection:
        return Selection.of(self.scored(), self.rule)


choices = st.builds(
    Choice,
    st.integers(1, 2),
    st.integers(1, 3),
    st.sampled_from(SHAPES),
    st.integers(0, 10_000),
    st.sampled_from(Rule),
)
sizes = st.integers(1, 60)


def with_scores(graph: ComputationalGraph, scores: dict[str, float]) -> Circuit:
    full = Circuit.full(graph)
    return Circuit(graph, full.edges, {edge: scores.get(edge.name, 0.0) for edge in full.edges})


@given(choices)
def test_every_edge_has_its_place_in_the_order(choice: Choice) -> None:
    selection = choice.selection()
    assert len(selection.order) == selection.scored.graph.n_edges
    assert set(selection.order) == selection.scored.edges
    assert selection.order == choice.selection().order


@given(choices, sizes, sizes)
def test_beginnings_are_nested_alive_and_within_their_size(choice: Choice, one: int, other: int) -> None:
    selection = choice.selection()
    small, large = (selection.first(count) for count in sorted((one, other)))
    assert small <= large
    for circuit, count in ((small, min(one, other)), (large, max(one, other))):
        assert len(circuit) <= count
        assert circuit.edges <= set(selection.order[:count])
        assert circuit == circuit.pruned()
        assert circuit.scores == {edge: selection.scored.scores[edge] for edge in circuit.edges}


@given(choices)
def test_the_top_is_ordered_by_absolute_score_and_then_as_the_graph(choice: Choice) -> None:
    scored = choice.scored()
    order = Selection.of(scored, Rule.TOP).order
    indices = scored.graph.edge_indices
    keys = [(-abs(scored.scores[edge]), indices[edge]) for edge in order]
    assert keys == sorted(keys)


@given(choices)
def test_the_signed_order_takes_what_hurts_last(choice: Choice) -> None:
    scored = choice.scored()
    indices = scored.graph.edge_indices
    keys = [(-scored.scores[edge], indices[edge]) for edge in Selection.of(scored, Rule.SIGNED).order]
    assert keys == sorted(keys)


@given(choices)
@settings(max_examples=50)
def test_from_the_logits_the_next_edge_is_the_highest_that_ends_in_a_node_reached(choice: Choice) -> None:
    scored = choice.scored()
    order = Selection.of(scored, Rule.GREEDY).order
    reached, left = {LOGITS}, set(scored.edges)
    for edge in order:
        assert edge.receiver in reached, "it must lead to the logits"
        best = max(abs(scored.scores[other]) for other in left if other.receiver in reached)
        assert abs(scored.scores[edge]) == best
        reached.add(edge.sender)
        left.remove(edge)


@given(choices, sizes)
@settings(max_examples=200)
def test_a_size_is_met_unless_no_edge_joins_by_itself(choice: Choice, count: int) -> None:
    selection = choice.selection()
    circuit = selection.of_size(count)
    assert 0 < len(circuit) <= count
    assert circuit == circuit.pruned()
    if len(circuit) < min(count, selection.scored.graph.n_edges):
        for edge in selection.scored.edges - circuit.edges:
            joined = Circuit(circuit.graph, circuit.edges | {edge}).pruned()
            assert joined == circuit, f"{edge.name} would have joined"


@given(choices, sizes)
def test_a_size_holds_as_long_a_beginning_as_fits(choice: Choice, count: int) -> None:
    selection = choice.selection()
    circuit = selection.of_size(count)
    fitting = [first for n in range(selection.scored.graph.n_edges + 1) if len(first := selection.first(n)) <= count]
    assert fitting[-1] <= circuit


@given(choices, st.floats(0, 3))
def test_a_threshold_takes_every_edge_whose_score_is_at_least_that(choice: Choice, threshold: float) -> None:
    selection = choice.selection()
    high = {edge for edge in selection.scored.edges if abs(selection.scored.scores[edge]) >= threshold}
    wanted = Circuit(selection.scored.graph, frozenset(high)).pruned()
    assert selection.above(threshold) == wanted
    assert all(abs(score) >= threshold for score in selection.above(threshold).scores.values())


# By hand: one layer with one head and an MLP, so the senders are input, a0.h0 and m0

GRAPH = ComputationalGraph(1, 1, 8)
BY_HAND = {"a0.h0->logits": -9.0, "input->a0.h0<v>": 5.0, "m0->logits": 2.0, "input->m0": 8.0, "input->logits": 1.0}


def names(circuit: Circuit) -> set[str]:
    return {edge.name for edge in circuit.edges}


def test_dead_edges_do_not_count_towards_a_size() -> None:
    """The highest two, by absolute value, are both dead as long as nothing joins them to input and logits."""
    top = Selection.of(with_scores(GRAPH, BY_HAND), Rule.TOP)
    assert [edge.name for edge in top.order[:2]] == ["a0.h0->logits", "input->m0"]
    assert names(top.first(2)) == set()
    assert names(top.of_size(2)) == {"a0.h0->logits", "input->a0.h0<v>"}
    assert names(top.of_size(3)) == {"a0.h0->logits", "input->a0.h0<v>", "input->logits"}
    assert names(top.of_size(4)) == {"a0.h0->logits", "input->a0.h0<v>", "m0->logits", "input->m0"}


def test_the_logits_come_first_where_it_starts_from_them() -> None:
    greedy = Selection.of(with_scores(GRAPH, BY_HAND), Rule.GREEDY)
    wanted = ["a0.h0->logits", "input->a0.h0<v>", "m0->logits", "input->m0", "input->logits"]
    assert [edge.name for edge in greedy.order[:5]] == wanted


def test_a_size_that_no_single_edge_completes_is_left_open() -> None:
    """Beside input->logits nothing is alive alone; two more edges would be, but only as a pair."""
    scored = with_scores(GRAPH, {"input->logits": 9.0})
    top = Selection.of(scored, Rule.TOP)
    pairs = itertools.combinations(sorted(scored.edges - {Edge(INPUT, LOGITS)}), 2)
    assert any(len(Circuit(GRAPH, frozenset({Edge(INPUT, LOGITS), *pair})).pruned()) == 3 for pair in pairs)
    assert names(top.of_size(2)) == {"input->logits"}


@pytest.mark.parametrize("count", [1, 5])
def test_a_whole_graph_is_its_own_largest_size(count: int) -> None:
    scored = with_scores(GRAPH, BY_HAND)
    assert Selection.of(scored, Rule.TOP).of_size(GRAPH.n_edges + count) == scored


_PARTS = ("f1", "f2", "error")


@pytest.mark.parametrize(
    "splits",
    [
        (),
        (Split(0, _PARTS, "attention"), Split(0, _PARTS, "resid_post"), Split(1, _PARTS, "resid_mid")),
        (Split(0, _PARTS, "resid_mid"), Split(0, _PARTS), Split(1, _PARTS, "attention")),
    ],
)
def test_edges_that_are_not_tried_would_not_have_joined(splits: tuple[Split, ...]) -> None:
    graph = ComputationalGraph(2, 2, 8, splits=splits)
    for seed in range(12):
        order = tuple(random.Random(seed).sample(list(graph.edges()), graph.n_edges))
        selection = Selection(Circuit(graph, graph.every_edge, dict.fromkeys(order, 1.0)), order)
        for count in (1, 3, 9, 20, 40):
            assert selection.of_size(count) == every_edge_tried(order, graph, count)


def every_edge_tried(order: tuple[Edge, ...], graph: ComputationalGraph, count: int) -> Circuit:
    """What `of_size` says it does, by trying every edge."""

    def live(edges: Iterable[Edge]) -> Circuit:
        return Circuit(graph, frozenset(edges)).pruned()

    low = max(length for length in range(len(order) + 1) if len(live(order[:length])) <= count)
    circuit, chosen = live(order[:low]), set(order[:low])
    for edge in order[low:]:
        if len(circuit) < len(grown := live([*chosen, edge])) <= count:
            circuit = grown
            chosen.add(edge)
    while len(circuit) < count:
        joins = (live([*circuit.edges, edge]) for edge in order if edge not in circuit)
        if (longer := next((grown for grown in joins if len(grown) > len(circuit)), None)) is None:
            break
        circuit = longer
    return circuit
