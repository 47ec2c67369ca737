"""Is what was found what is true? Judged against the edges of a circuit that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from acdc.bench.answer import AbstractAnswer, inner_nodes
from acdc.bench.roc import Roc
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge


@dataclass(frozen=True)
class Retrieved:
    """The circuit that an answer has of nearly the true size, and how much of it is true.

    `precision` is the part of its edges that are true (0 where there are none), `recall` the part of the true edges
    that are in it.
    """

    asked: int
    edges: int
    precision: float
    recall: float


@dataclass(frozen=True)
class GroundTruth:
    """How an answer stands to the truth; a ROC is None where all or none of the edges, or of the nodes, are true.

    Nodes are heads and MLPs, and true when a true edge starts or ends in them.
    """

    edges: Roc | None
    nodes: Roc | None
    at_true_size: Retrieved

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, with both areas under each ROC."""
        found = self.at_true_size
        return {
            "edges": _curve(self.edges),
            "nodes": _curve(self.nodes),
            "at_true_size": {
                "asked": found.asked,
                "edges": found.edges,
                "precision": found.precision,
                "recall": found.recall,
            },
        }


def ground_truth(answer: AbstractAnswer, true: frozenset[Edge]) -> GroundTruth:
    """Judge an answer by the true edges.

    Raises: NotInGraph when a true edge is not in the answer's graph.
    """
    known = Circuit(answer.graph, true)
    near = answer.near(len(true))
    hits = len(near.edges & true)
    return GroundTruth(
        answer.edge_roc(true),
        answer.node_roc(frozenset(inner_nodes(known.nodes()))),
        Retrieved(len(true), len(near), hits / len(near) if near.edges else 0.0, hits / len(true) if true else 0.0),
    )


def _curve(roc: Roc | None) -> dict[str, Any] | None:
    if roc is None:
        return None
    return {"pessimistic": roc.pessimistic, "plain": roc.plain, "points": [list(point) for point in roc.points]}
