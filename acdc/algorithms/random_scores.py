"""Score every edge by chance: what any method must be better than."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem


@dataclass(frozen=True)
class Chance:
    """Scores drawn evenly from 0 to 1, the same for the same seed and graph; they know nothing of the behaviour."""

    seed: int = 0

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge."""
        graph = problem.graph
        generator = torch.Generator().manual_seed(self.seed)
        scores = torch.rand(len(graph.receivers), len(graph.senders), generator=generator, dtype=torch.float64)
        yield ScoringStep(1, 1)
        return score_graph(problem, scores)
