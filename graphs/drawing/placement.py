"""Where the nodes of a circuit stand on the page: one row per step of the computation, neighbours near each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import INPUT, LOGITS, SPLITTABLE, Node

_SWEEPS = 40
_BESIDE = 24
"""More parts of a node than that stand in several rows: one row of hundreds would be many times as wide as high."""


class Row(NamedTuple):
    """Nodes that neither read nor feed one another, from left to right."""

    label: str
    nodes: tuple[Node, ...]


def rows(circuit: Circuit) -> tuple[Row, ...]:
    """The circuit's nodes from `input` up to `logits`: per layer the heads, above them the MLP, and above it its parts.

    So stand the parts of what the heads write above these, and those of the residual stream above it. In a parallel
    model the MLP stands beside the heads. Rows without a node of the circuit are left out, and rows of many parts are
    several, of which the first has the label.
    """
    found: dict[tuple[int, int], list[Node]] = {}
    for node in circuit.nodes():
        above = 0 if node.kind not in SPLITTABLE else 2 * SPLITTABLE.index(node.kind) + (node.part != "")
        above = 0 if node.kind == "mlp" and not node.part and circuit.graph.parallel else above
        layer = circuit.graph.n_layers if node == LOGITS else node.layer
        found.setdefault((layer, above), []).append(node)
    stack: list[Row] = []
    for (_, above), nodes in sorted(found.items()):
        beside = _BESIDE if nodes[0].part else len(nodes)
        for start in range(0, len(nodes), beside):
            label = "" if start else _label(nodes[0], above)
            stack.append(Row(label, tuple(nodes[start : start + beside])))
    return tuple(stack)


def columns(circuit: Circuit) -> dict[Node, float]:
    """The horizontal place of each node, at least 1 apart within a row and near the mean of the nodes it is joined to.

    Nodes of short rows stand up to 2 apart, so that edges find room between them.

    Source: Sugiyama et al. 1981 (barycentre sweeps), the places of a row being the least-squares ones in its order.
    """
    joined: dict[Node, list[Node]] = {}
    for edge in circuit.ordered():
        joined.setdefault(edge.sender, []).append(edge.receiver)
        joined.setdefault(edge.receiver, []).append(edge.sender)
    nodes = circuit.nodes()
    for node in nodes:
        for reader in readers(nodes, node):
            joined[node].append(reader)
            joined.setdefault(reader, []).append(node)
    stack = rows(circuit)
    place = {node: i - (len(row.nodes) - 1) / 2 for row in stack for i, node in enumerate(row.nodes)}
    longest = max((len(row.nodes) for row in stack), default=1)
    for sweep in range(_SWEEPS):
        for row in stack if sweep % 2 == 0 else reversed(stack):
            apart = min(longest / len(row.nodes), 2.0)
            # Rounded, so that the last bit of a sum never decides the order of two nodes that want the same place.
            wish = {node: round(sum(place[n] for n in joined[node]) / len(joined[node]), 6) for node in row.nodes}
            order = sorted(row.nodes, key=lambda node: (wish[node], node))
            place |= dict(zip(order, _spread([wish[node] for node in order], apart), strict=True))
    return place


def _label(first: Node, above: int) -> str:
    if first in (INPUT, LOGITS):
        return ""
    match first.kind:
        case "resid_mid" | "resid_post":
            return f"stream {first.whole}{' parts' if first.part else ''}"
        case "attention":
            return f"layer {first.layer} attention"
        case "mlp" if above:
            return f"layer {first.layer}{' parts' if first.part else ' MLP'}"
        case _:
            return f"layer {first.layer}"


def readers(nodes: Sequence[Node], part: Node) -> tuple[Node, ...]:
    """Those of a circuit's nodes that make what a part is one of: its MLP, or the heads; none of what is no part."""
    if not part.part:
        return ()
    return tuple(
        node
        for node in nodes
        if node == part.whole or (part.kind == "attention" and node.kind == "head" and node.layer == part.layer)
    )


def _spread(wishes: list[float], apart: float) -> list[float]:
    """The places nearest to ascending wishes in least squares that keep their distance (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for index, wish in enumerate(wishes):
        mean, size = wish - index * apart, 1
        while pools and pools[-1][0] >= mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    level = [mean for mean, size in pools for _ in range(size)]
    return [start + index * apart for index, start in enumerate(level)]
