"""Which edges carry something: those on a path from `input` to `logits`.

An edge that leads to no logits is not read; a node that no edge connects with `input` writes what it does in the
ablated run, so that its edges carry what missing ones do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from acdc.graphs.nodes import INPUT, LOGITS, Edge, Node


def live(edges: frozenset[Edge]) -> frozenset[Edge]:
    """Those of the edges that lie on a path over them from `input` to `logits`."""
    before = -1
    while len(edges) != before:
        before = len(edges)
        receiving = {edge.sender.whole for edge in edges} | {LOGITS}
        fed = {node for edge in edges for node in _written_by(edge.receiver)} | {INPUT}
        edges = frozenset(
            e for e in edges if not receiving.isdisjoint(_written_by(e.receiver)) and e.sender.whole in fed
        )
    return edges


@dataclass(frozen=True)
class Reach:
    """Which nodes edges join to `input` (`fed`), and which they join to `logits` (`receiving`)."""

    fed: frozenset[Node]
    receiving: frozenset[Node]

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> Reach:
        """That of these edges."""
        known = [(edge.sender.whole, _written_by(edge.receiver)) for edge in edges]
        fed, receiving, before = {INPUT}, {LOGITS}, -1
        while len(fed) + len(receiving) != before:
            before = len(fed) + len(receiving)
            fed |= {node for sender, written in known if sender in fed for node in written}
            receiving |= {sender for sender, written in known if not receiving.isdisjoint(written)}
        return cls(frozenset(fed), frozenset(receiving))

    def lives(self, edge: Edge) -> bool:
        """Whether another edge would be live beside these; only then does it bring others to life."""
        return edge.sender.whole in self.fed and not self.receiving.isdisjoint(_written_by(edge.receiver))

    def joined_by(self, edge: Edge) -> tuple[Node | None, Node | None]:
        """Which sender that edge would be the first to join to `logits`, and which receiver to `input`; None for none.

        What else it brings to life depends on these alone; without both, that is nothing.
        """
        sender, receiver = edge.sender.whole, edge.receiver
        fed = self.fed.issuperset(_written_by(receiver)) or receiver == LOGITS
        return None if sender in self.receiving else sender, None if fed else receiver


def _written_by(reader: Node) -> tuple[Node, ...]:
    """What writes where a node reads: itself, or what all heads of its layer write together."""
    return (reader, Node("attention", reader.layer)) if reader.kind == "head" else (reader,)
