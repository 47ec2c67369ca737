"""Liveness is what `Circuit.pruned` says, and a sender is wide exactly where somebody reads all of it."""

from __future__ import annotations

import random

import pytest
import torch

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph, Split
from acdc.graphs.execution.liveness import Liveness

SPLITS = (
    Split(0, ("f1", "error"), "attention"),
    Split(0, ("f0", "f2", "error")),
    Split(1, ("f3", "rest", "error"), "resid_mid"),
    Split(1, ("n0", "n1")),
    Split(2, ("f1", "error"), "resid_post"),
)
GRAPHS = [
    ComputationalGraph(3, 2, 4),
    ComputationalGraph(3, 2, 4, splits=SPLITS),
    ComputationalGraph(3, 2, 4, splits=SPLITS, parts_read=True),
    ComputationalGraph(2, 3, 4, parallel=True),
    ComputationalGraph(3, 2, 4, has_mlp=False),
]


def alive(circuits: list[Circuit]) -> Liveness:
    masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits])
    return Liveness.of(circuits[0].graph, masks)


@pytest.mark.parametrize("graph", GRAPHS, ids=ComputationalGraph.describe)
def test_what_is_kept_is_the_pruned_circuit(graph: ComputationalGraph) -> None:
    draw, edges = random.Random(0), list(graph.edges())
    circuits = [Circuit(graph, frozenset(draw.sample(edges, draw.randint(0, len(edges))))) for _ in range(60)]
    found = alive(circuits)
    pruned = [circuit.pruned() for circuit in circuits]
    assert any(0 < len(small) < len(large) for small, large in zip(pruned, circuits, strict=True))
    for circuit, kept, live in zip(pruned, found.kept, found.live, strict=True):
        assert Circuit.from_mask(graph, kept.numpy()) == circuit
        writing = {edge.sender for edge in circuit.edges} | {graph.senders[0]}
        assert {graph.senders[index] for index in live.nonzero()[:, 0]} == writing


def test_what_is_read_through_keys_or_values_is_wide_and_what_only_queries_read_is_not() -> None:
    graph = ComputationalGraph(3, 2, 4)
    names = ["a2.h0->logits", "a1.h0->a2.h0<q>", "a1.h1->a2.h0<v>", "a0.h0->a1.h0<q>", "m0->a1.h1<q>", "input->m0"]
    found = alive([Circuit.from_names(graph, [*names, "input->a0.h0<q>"])])
    wide = {graph.senders[index].name for index in found.all_positions[0].nonzero()[:, 0]}
    live = {graph.senders[index].name for index in found.live[0].nonzero()[:, 0]}
    assert live == {"input", "a0.h0", "m0", "a1.h0", "a1.h1", "a2.h0"}
    assert wide == {"m0", "a1.h1", "input"}, "m0 feeds a head that is read at every position, a0.h0 one that is not"


def test_circuits_that_keep_the_same_edges_are_one() -> None:
    graph = GRAPHS[0]
    names = [[], ["input->m1"], ["input->logits"], ["input->a0.h0<q>"], ["input->logits", "m1->a2.h0<q>"]]
    first, same = alive([Circuit.from_names(graph, some) for some in names]).distinct()
    assert first.tolist() == [0, 2]
    assert same.tolist() == [0, 0, 1, 0, 1]
