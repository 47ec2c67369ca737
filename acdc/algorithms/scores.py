"""What scoring algorithms are and give: the whole graph with a score for every edge."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from acdc.graphs.circuit import Circuit
from acdc.precision import finite_scores
from acdc.problem import Problem


@dataclass(frozen=True)
class ScoringStep:
    """How far a scoring is: pieces of work done, of how many."""

    done: int
    total: int


@runtime_checkable
class AbstractScorer(Protocol):
    """Any scoring algorithm."""

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, piece of work by piece."""


def score_graph(problem: Problem, scores: Float[Tensor, "receiver sender"]) -> Circuit:
    """The whole model as a circuit with these scores.

    Raises: NotFinite when an edge's score is NaN or infinite.
    """
    graph = problem.graph
    rows = scores.tolist()
    named = {edge: rows[row][column] for edge, (row, column) in graph.edge_indices.items()}
    finite_scores(named)
    return Circuit(graph, frozenset(named), named)
