"""Which edges carry something: those on a path from `input` to `logits`.

An edge that leads to no logits is not read; a node that no edge connects with `input` writes what it does in the
ablated run, so that its edges carry what missing ones do.
"""

from __future__ import annotations

from acdc.graphs.nodes import INPUT, LOGITS, Edge, Node


def live(edges: frozenset[Edge]) -> frozenset[Edge]:
    """Those of the edges that lie on a path over them from `input` to `logits`."""
    before = -1
    while len(edges) != before:
        before = len(edges)
        # a part of an MLP is fed by what it reads itself, or by what the MLP reads as a whole
        receiving = {node for edge in edges for node in (edge.sender, edge.sender.whole)} | {LOGITS}
        fed = {node for edge in edges for node in _written_by(edge.receiver)} | {INPUT}
        edges = frozenset(
            e
            for e in edges
            if not receiving.isdisjoint(_written_by(e.receiver)) and not fed.isdisjoint((e.sender, e.sender.whole))
        )
    return edges


def _written_by(reader: Node) -> tuple[Node, ...]:
    """What writes where a node reads: itself, or what all heads of its layer write together."""
    return (reader, Node("attention", reader.layer)) if reader.kind == "head" else (reader,)
