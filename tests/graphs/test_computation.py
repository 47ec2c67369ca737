"""Which senders every receiver reads, and the order in which both stand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acdc.graphs.computation import ComputationalGraph, Split
from acdc.graphs.errors import NotInGraph
from acdc.graphs.nodes import INPUT, LOGITS, SLOTS, Edge, Node, Receiver
from tests.graphs.edge_names import Anatomy

GPT2_SMALL = ComputationalGraph(n_layers=12, n_heads=12, d_model=768)

mlps = st.sampled_from([{"has_mlp": False}, {}, {"parallel": True}])
spans = st.sampled_from([(), ("END",), ("BOS", "S1", "-1")])
graphs = st.builds(
    lambda n_layers, n_heads, mlp, spans: ComputationalGraph(n_layers, n_heads, 8, **mlp, spans=spans),
    st.integers(1, 5),
    st.integers(1, 4),
    mlps,
    spans,
)


def test_gpt2_small_has_the_published_size() -> None:
    assert (len(GPT2_SMALL.senders), len(GPT2_SMALL.receivers)) == (157, 445)
    assert GPT2_SMALL.n_edges == len(set(GPT2_SMALL.edges())) == 32_491


def test_senders_and_receivers_stand_where_mib_puts_them() -> None:
    """The index formulas of MIB's edge matrices, H heads per layer."""
    n_heads = 12
    sender, receiver = GPT2_SMALL.sender_index, GPT2_SMALL.receiver_index
    assert sender[INPUT] == 0
    assert receiver[Receiver(LOGITS)] == 444
    for layer in range(12):
        for head in range(n_heads):
            node = Node("head", layer, head)
            assert sender[node] == 1 + layer * (n_heads + 1) + head
            for third, slot in enumerate(SLOTS):
                assert receiver[Receiver(node, slot)] == layer * (3 * n_heads + 1) + third * n_heads + head
        assert sender[Node("mlp", layer)] == 1 + layer * (n_heads + 1) + n_heads
        assert receiver[Receiver(Node("mlp", layer))] == layer * (3 * n_heads + 1) + 3 * n_heads


@given(graphs)
def test_every_edge_is_there_and_in_order(graph: ComputationalGraph) -> None:
    reads = Anatomy(graph.n_layers, graph.n_heads, graph.has_mlp, graph.parallel).reads()
    ends = {receiver: [""] if receiver == "logits" else [f"@{s}" for s in graph.spans] or [""] for receiver in reads}
    wanted = [
        f"{sender}->{receiver}{end}"
        for receiver, senders in reads.items()
        for end in ends[receiver]
        for sender in senders
    ]
    assert [edge.name for edge in graph.edges()] == wanted
    assert graph.n_edges == len(wanted)
    assert all(edge in graph for edge in graph.edges())


@given(graphs)
def test_what_a_receiver_reads_is_a_prefix_of_the_senders(graph: ComputationalGraph) -> None:
    for receiver in graph.receivers:
        incoming = graph.incoming(receiver)
        assert [edge.sender for edge in incoming] == list(graph.senders[: graph.reads(receiver)])
        assert {edge.target for edge in incoming} == {receiver}


@pytest.mark.parametrize(
    ("graph", "n_senders", "n_receivers", "n_edges"),
    [
        # per layer the MLP reads what comes before it: sequential 1+2 and 4+2, parallel 1 and 4, attention only none
        (ComputationalGraph(2, 2, 8), 7, 15, 6 * 1 + 3 + 6 * 4 + 6 + 7),
        (ComputationalGraph(2, 2, 8, parallel=True), 7, 15, 6 * 1 + 1 + 6 * 4 + 4 + 7),
        (ComputationalGraph(2, 2, 8, has_mlp=False), 5, 13, 6 * 1 + 6 * 3 + 5),
    ],
    ids=["sequential", "parallel", "attention only"],
)
def test_small_graphs_have_the_size_counted_by_hand(
    graph: ComputationalGraph, n_senders: int, n_receivers: int, n_edges: int
) -> None:
    assert (len(graph.senders), len(graph.receivers), graph.n_edges) == (n_senders, n_receivers, n_edges)


@pytest.mark.parametrize(
    "name",
    ["m0->a0.h0<q>", "a0.h0->a0.h1<v>", "a0.h0->m0", "a9.h0->logits", "input->m5", "input->a0.h9<q>", "logits->m1"],
)
def test_a_parallel_graph_lacks_the_edges_that_go_sideways_or_out_of_it(name: str) -> None:
    graph = ComputationalGraph(2, 2, 8, parallel=True)
    assert Edge.parse(name) not in graph
    assert Edge.parse("a0.h0->m1") in graph


def test_an_edge_without_its_slot_is_not_in_the_graph() -> None:
    assert Edge(INPUT, Node("head", 0, 0)) not in GPT2_SMALL
    assert "input->logits" not in GPT2_SMALL
    assert Edge(INPUT, LOGITS) in GPT2_SMALL


def test_a_receiver_the_model_does_not_have_is_refused_with_the_size_of_the_model() -> None:
    graph = ComputationalGraph(2, 3, 8, has_mlp=False)
    message = "no receiver m0 in this model, which has 2 layers, 3 heads per layer and no MLPs"
    with pytest.raises(NotInGraph, match=f"^{re.escape(message)}$"):
        graph.reads(Receiver(Node("mlp", 0)))


@pytest.mark.parametrize(
    "sizes", [{"n_layers": 0}, {"n_heads": 0}, {"d_model": -1}, {"has_mlp": False, "parallel": True}], ids=str
)
def test_impossible_sizes_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is -?\d, wanted a whole number from 1|a graph without MLPs"):
        ComputationalGraph(**{"n_layers": 2, "n_heads": 2, "d_model": 8, **sizes})


@given(graphs)
def test_the_networkx_view_has_every_edge_and_no_cycle(graph: ComputationalGraph) -> None:
    view = graph.networkx()
    assert {key for _, _, key in view.edges(keys=True)} == {edge.name for edge in graph.edges()}
    assert set(view) == {node.name for node in (*graph.senders, LOGITS)}
    assert networkx.is_directed_acyclic_graph(view)
    span = {"span": graph.spans[-1]} if graph.spans else {}
    name = f"input->a0.h0<k>@{graph.spans[-1]}" if graph.spans else "input->a0.h0<k>"
    assert view.edges["input", "a0.h0", name] == {"slot": "k", **span}


@given(graphs)
def test_the_inputs_of_layers_are_the_receivers_without_spans(graph: ComputationalGraph) -> None:
    plain = graph.without_spans
    assert not plain.spans
    for number, receiver in enumerate(graph.receivers[:-1]):
        assert plain.receivers[number // graph.per_input] == receiver._replace(span=None)
    assert plain.with_spans(graph.spans) == graph
    assert graph.layers == plain.layers


@pytest.mark.parametrize("spans", [("S1", "S1"), ("a b",), ("",), ["S1"], (1,)])
def test_spans_are_names_no_two_of_which_are_the_same(spans: Any) -> None:
    with pytest.raises(ValueError, match=r"no two of them the same|no span is called"):
        ComputationalGraph(2, 2, 8, spans=spans)


def test_a_graph_asked_for_its_spans_again_is_the_same_object() -> None:
    assert GPT2_SMALL.with_spans(("S1", "END")) is GPT2_SMALL.with_spans(("S1", "END"))


@pytest.mark.parametrize("spans", [(), ("BOS", "END")])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_split_mlp_is_as_many_senders_and_one_receiver(spans: tuple[str, ...], parallel: bool) -> None:
    whole = ComputationalGraph(3, 2, 8, parallel=parallel, spans=spans)
    splits = (Split(0, ("n0", "n1", "n2")), Split(2, ("f4", "rest", "error")))
    graph = replace(whole, splits=splits)
    assert graph.receivers == whole.receivers
    assert len(graph.senders) == len(whole.senders) + 4
    assert graph.n_edges == len(list(graph.edges())) == len(graph.edge_indices)
    assert [graph.senders[number].name for number in graph.mlp_senders(2)] == ["m2.f4", "m2.rest", "m2.error"]
    assert [graph.senders[number].name for number in graph.mlp_senders(1)] == ["m1"]
    assert {edge._replace(sender=edge.sender.whole) for edge in graph.edges()} == set(whole.edges())
    assert all(Edge.parse(edge.name) == edge for edge in graph.edges())
    assert "m0 in 3 parts" in graph.describe()


@pytest.mark.parametrize("spans", [(), ("BOS", "END")])
@pytest.mark.parametrize("parallel", [False, True])
def test_parts_that_read_are_receivers_of_what_their_mlp_may_read(spans: tuple[str, ...], parallel: bool) -> None:
    splits = (Split(0, ("n0", "n1", "n2")), Split(2, ("f4", "rest", "error")))
    together = ComputationalGraph(3, 2, 8, parallel=parallel, spans=spans, splits=splits)
    graph = replace(together, parts_read=True)
    assert graph.senders == together.senders
    assert len(graph.receivers) == len(together.receivers) + 4 * graph.per_input
    assert graph.n_edges == len(list(graph.edges())) == len(graph.edge_indices)
    assert {edge._replace(receiver=edge.receiver.whole) for edge in graph.edges()} == set(together.edges())
    assert "m2.f4" in {receiver.node.name for receiver in graph.receivers}
    assert "m2" not in {receiver.node.name for receiver in graph.receivers}
    assert all(Edge.parse(edge.name) == edge for edge in graph.edges())
    assert "m2 in 3 parts that read for themselves" in graph.describe()
    assert graph.describe().endswith(f" ({graph.n_edges:,} edges)")
    for layer in graph.layers:
        assert layer.mlp is not None
        for receiver in layer.mlp.receivers:
            assert (
                graph.reads(graph.without_spans.receivers[receiver]._replace(span=(*spans, None)[0])) == layer.mlp.reads
            )


@pytest.mark.parametrize("reads", [True, 1, "yes"])
def test_parts_read_only_where_there_are_some(reads: Any) -> None:
    with pytest.raises(ValueError, match="parts_read is"):
        ComputationalGraph(3, 2, 8, parts_read=reads)


@pytest.mark.parametrize(
    "splits",
    [
        (Split(0, ()),),
        (Split(0, ("n1", "n1")),),
        (Split(0, ("x1",)),),
        (Split(3, ("n1",)),),
        (Split(1, ("n1",)), Split(0, ("n1",))),
        (Split(1, ("n1",)), Split(1, ("n2",))),
    ],
)
def test_mlps_are_split_once_in_order_into_parts_that_have_names(splits: tuple[Split, ...]) -> None:
    with pytest.raises(ValueError, match=r"split|no part of a node"):
        ComputationalGraph(3, 2, 8, splits=splits)
