"""Which edges carry something: those on a path from `input` to `logits`.

An edge that leads to no logits is not read; a node that no edge connects with `input` writes what it does in the
ablated run, so that its edges carry what missing ones do.
"""

from __future__ import annotations

from acdc.graphs.nodes import INPUT, LOGITS, Edge


def live(edges: frozenset[Edge]) -> frozenset[Edge]:
    """Those of the edges that lie on a path over them from `input` to `logits`."""
    before = -1
    while len(edges) != before:
        before = len(edges)
        # a part of an MLP is fed by what it reads itself, or by what the MLP reads as a whole
        receiving = {node for edge in edges for node in (edge.sender, edge.sender.whole)} | {LOGITS}
        fed = {edge.receiver for edge in edges} | {INPUT}
        edges = frozenset(e for e in edges if e.receiver in receiving and (e.sender in fed or e.sender.whole in fed))
    return edges
