"""The exact effect of every single edge: each removed alone from the whole model (path patching, edge by edge)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.algorithms.trials import Trials
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.problem import Problem


@dataclass(frozen=True)
class ExactPatching:
    """By how much the mean metric gets worse when one edge carries what a missing edge does; all edges, exactly.

    Positive means that the edge helps the behaviour. As many edges of a receiver run together as fit into `max_bytes`.

    Source: Goldowsky-Dill et al. 2023 (arXiv:2304.05969), for single edges.
    """

    max_bytes: int = 1 << 30

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, receiver by receiver."""
        with freed_memory_kept():
            return (yield from self._score(problem))

    @torch.no_grad()
    def _score(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        graph = problem.graph
        scores = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)
        trials = Trials(problem, self.max_bytes)
        for done, receiver in enumerate(reversed(graph.receivers), start=1):
            trials.begin(receiver)
            row, left = graph.receiver_index[receiver], list(graph.may_read(receiver))
            while left:
                costs = trials.costs(receiver, left[: min(64, trials.room(receiver))], together=False)
                scores[row, left[: len(costs)]] = costs
                left = left[len(costs) :]
            yield ScoringStep(done, len(graph.receivers))
        return score_graph(problem, scores)
