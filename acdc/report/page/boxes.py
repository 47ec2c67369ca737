"""The boxes that a page draws: one for each node or, where edges are by position, for each span at which it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.by_position import Box, SpanColumns
from acdc.graphs.drawing.placement import columns, rows
from acdc.graphs.nodes import LOGITS, Edge, Node

_Json = dict[str, Any]


@dataclass(frozen=True)
class NodeBoxes:
    """A box for each node of these circuits, by number."""

    circuits: Sequence[Circuit]
    number: Mapping[Node, int]

    @classmethod
    def of(cls, circuits: Sequence[Circuit]) -> NodeBoxes:
        """The boxes of all nodes that one of the circuits has."""
        edges = frozenset(edge for circuit in circuits for edge in circuit.edges)
        nodes = Circuit(circuits[0].graph, edges).nodes()
        return cls(circuits, {node: at for at, node in enumerate(nodes)})

    def to_json(self) -> list[list[Any]]:
        """Name, kind and layer of each."""
        return [_said(node, self.circuits[0]) for node in self.number]

    def ends(self, edge: Edge) -> list[int]:
        """The boxes of an edge's sender and receiver."""
        return [self.number[edge.sender], self.number[edge.receiver]]

    def placed(self, at: int, edge_number: Mapping[Edge, int]) -> _Json:
        """Where those of a circuit stand: row by row from `input` up, each with its label and their places across."""
        circuit = self.circuits[at]
        across = columns(circuit)
        return {
            "rows": [
                [row.label, [[self.number[node], round(across[node], 3)] for node in row.nodes]]
                for row in rows(circuit)
            ]
        }


@dataclass(frozen=True)
class SpanBoxes:
    """A box for each node at each span at which one of these circuits has it, by number, and a first end of each edge.

    An edge into a key or a value may end in several boxes, and in others in a circuit of another size.
    """

    circuits: Sequence[Circuit]
    drawn: Sequence[SpanColumns]
    number: Mapping[Box, int]
    first: Mapping[Edge, tuple[Box, Box]]

    @classmethod
    def of(cls, circuits: Sequence[Circuit]) -> SpanBoxes:
        """The boxes of all circuits."""
        drawn = [SpanColumns.of(circuit) for circuit in circuits]
        order = {span: at for at, span in enumerate(circuits[0].graph.spans)}
        nodes = NodeBoxes.of(circuits).number
        boxes = sorted({box for one in drawn for box in one.across}, key=lambda box: (nodes[box.node], order[box.span]))
        first = {line.edge: (line.start, line.end) for one in reversed(drawn) for line in reversed(one.lines)}
        return cls(circuits, drawn, {box: at for at, box in enumerate(boxes)}, first)

    def to_json(self) -> list[list[Any]]:
        """Name, kind, layer and span of each."""
        return [[*_said(box.node, self.circuits[0]), box.span] for box in self.number]

    def ends(self, edge: Edge) -> list[int]:
        """The box of an edge's sender, and one of those that it ends in."""
        start, end = self.first[edge]
        return [self.number[start], self.number[end]]

    def placed(self, at: int, edge_number: Mapping[Edge, int]) -> _Json:
        """Where those of a circuit stand, the middle of each column, and all ends of edges that have more or others."""
        drawn = self.drawn[at]
        return {
            "rows": [
                [
                    row.label,
                    [[self.number[box], round(x, 3)] for box, x in drawn.across.items() if box.node in row.nodes],
                ]
                for row in drawn.rows
            ],
            "columns": [[span, round(middle, 3)] for span, middle in drawn.middles.items()],
            "ends": {
                str(edge_number[edge]): [self.number[end] for end in ends]
                for edge, ends in self._ends(drawn)
                if ends != [self.first[edge][1]]
            },
        }

    def _ends(self, drawn: SpanColumns) -> Iterator[tuple[Edge, list[Box]]]:
        for edge, lines in groupby(drawn.lines, key=lambda line: line.edge):
            yield edge, [line.end for line in lines]


def boxes_of(circuits: Sequence[Circuit]) -> NodeBoxes | SpanBoxes:
    """The boxes that circuits of several sizes are drawn with."""
    return SpanBoxes.of(circuits) if circuits[0].graph.spans else NodeBoxes.of(circuits)


def _said(node: Node, circuit: Circuit) -> list[Any]:
    return [node.name, node.kind, circuit.graph.n_layers if node == LOGITS else node.layer]
