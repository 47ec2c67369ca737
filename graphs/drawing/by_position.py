"""Where the nodes of a circuit with edges by position stand: a column for each span, a row for each layer.

A node stands in the column of every span at which what it writes there is read. So edges into MLPs and queries stay in
their column, and those into keys and values cross to the columns of the head: that is how attention moves information.
The layout is that of Wang et al. 2022 (arXiv:2211.00593), figure 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.placement import Row, rows
from acdc.graphs.nodes import Edge, Node


class Box(NamedTuple):
    """A node in the column of a span."""

    node: Node
    span: str

    @property
    def name(self) -> str:
        """What a drawing calls it; the node's name is what it shows."""
        return f"{self.node.name}@{self.span}"


class DrawnEdge(NamedTuple):
    """A line that an edge is drawn as."""

    edge: Edge
    start: Box
    end: Box


@dataclass(frozen=True)
class SpanColumns:
    """A circuit by position on the page: places across, by box, and of the middle of each column, by span."""

    rows: tuple[Row, ...]
    across: Mapping[Box, float]
    middles: Mapping[str, float]
    lines: tuple[DrawnEdge, ...]

    @classmethod
    def of(cls, circuit: Circuit) -> SpanColumns:
        """The places of a circuit's nodes; columns of spans at which nothing is read are left out."""
        lines = _lines(circuit)
        order = {span: number for number, span in enumerate(circuit.graph.spans)}
        boxes = sorted({box for line in lines for box in (line.start, line.end)}, key=lambda box: order[box.span])
        stack = rows(circuit)
        in_cell: dict[tuple[int, str], list[Box]] = {}
        for level, row in enumerate(stack):
            for box in boxes:
                if box.node in row.nodes:
                    in_cell.setdefault((level, box.span), []).append(box)
        across: dict[Box, float] = {}
        middles: dict[str, float] = {}
        left = 0.0
        for span in dict.fromkeys(box.span for box in boxes):
            cells = [sorted(cell) for (_, at), cell in in_cell.items() if at == span]
            wide = max(map(len, cells))
            middles[span] = left + (wide - 1) / 2
            for cell in cells:
                start = middles[span] - (len(cell) - 1) / 2
                across |= {box: start + number for number, box in enumerate(cell)}
            left += wide + 0.4
        return cls(stack, across, middles, lines)


def _lines(circuit: Circuit) -> tuple[DrawnEdge, ...]:
    """The lines of all edges: one each, but from keys and values to every column at which their head is read."""
    last = circuit.graph.spans[-1]
    order = {span: number for number, span in enumerate(circuit.graph.spans)}
    read: dict[Node, set[str]] = {}
    for edge in circuit.edges:
        read.setdefault(edge.sender.whole, set()).add(edge.span or last)
    found = []
    for edge in circuit.ordered():
        span = edge.span or last
        ends = {span}
        if edge.slot in ("k", "v"):
            # where what the heads of a layer write is split, they write together
            wrote = read.get(edge.receiver) or read.get(Node("attention", edge.receiver.layer)) or set()
            ends = {other for other in wrote if order[other] >= order[span]} or wrote or ends
        found += [DrawnEdge(edge, Box(edge.sender, span), Box(edge.receiver, end)) for end in sorted(ends)]
    return tuple(found)
