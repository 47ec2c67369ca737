"""Which edges carry something: those on a path from `input` to `logits`.

An edge that leads to no logits is not read; a node that no edge connects with `input` writes what it does in the
ablated run, so that its edges carry what missing ones do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import INPUT, LOGITS, Edge, Node


def live(graph: ComputationalGraph, edges: frozenset[Edge]) -> frozenset[Edge]:
    """Those of a graph's edges that lie on a path over them from `input` to `logits`."""
    before, run_as = -1, graph.run_as
    while len(edges) != before:
        before = len(edges)
        receiving = {run_as[edge.sender] for edge in edges} | {LOGITS}
        fed = {run_as[edge.receiver] for edge in edges} | {INPUT}
        edges = frozenset(e for e in edges if run_as[e.receiver] in receiving and run_as[e.sender] in fed)
    return edges


@dataclass(frozen=True)
class Reach:
    """Which nodes of a graph edges join to `input` (`fed`), and which they join to `logits` (`receiving`).

    They are those as which the edges' ends are run.
    """

    graph: ComputationalGraph
    fed: frozenset[Node]
    receiving: frozenset[Node]

    @classmethod
    def of(cls, graph: ComputationalGraph, edges: Iterable[Edge]) -> Reach:
        """That of these edges."""
        known = [(graph.run_as[edge.sender], graph.run_as[edge.receiver]) for edge in edges]
        fed, receiving, before = {INPUT}, {LOGITS}, -1
        while len(fed) + len(receiving) != before:
            before = len(fed) + len(receiving)
            fed |= {reader for sender, reader in known if sender in fed}
            receiving |= {sender for sender, reader in known if reader in receiving}
        return cls(graph, frozenset(fed), frozenset(receiving))

    def lives(self, edge: Edge) -> bool:
        """Whether another edge would be live beside these; only then does it bring others to life."""
        return self.graph.run_as[edge.sender] in self.fed and self.graph.run_as[edge.receiver] in self.receiving

    def joined_by(self, edge: Edge) -> tuple[Node | None, Node | None]:
        """Which sender that edge would be the first to join to `logits`, and which receiver to `input`; None for none.

        What else it brings to life depends on these alone; without both, that is nothing.
        """
        sender, reader = self.graph.run_as[edge.sender], self.graph.run_as[edge.receiver]
        return None if sender in self.receiving else sender, None if reader in self.fed or reader == LOGITS else reader
