"""Score every edge by the mean of what several attributions say, each brought to the same scale."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.modified_gradients import GradientInteraction, RelevancePatching
from acdc.algorithms.scores import AbstractScorer, ScoringStep, score_graph
from acdc.drain import translated
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem


@dataclass(frozen=True)
class AveragedAttribution:
    """The mean over integrated gradients, relevance patching and interaction modifications of an edge's share.

    An edge's share is its score in the sum of the absolute scores of all edges by the same attribution: they differ in
    scale, and to a mean of bare scores one of them would count for all. Positive where the edge helps.

    Source: Mondorf et al. 2025 (arXiv:2510.06811), parallel ensembles by the mean; which attributions, and their
    scale, are ours.
    """

    steps: int = 5

    @property
    def parts(self) -> tuple[AbstractScorer, ...]:
        """The attributions averaged."""
        return IntegratedGradients("inputs", self.steps), RelevancePatching(), GradientInteraction()

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, one attribution after the other.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0 for one of
        them, as that of KL and L2 is.
        """
        graph = problem.graph
        edges = graph.edge_indices
        total = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)
        done, all_of_it = 0, len(problem.batches) * (self.steps + 2)
        for part in reversed(self.parts):  # those that refuse a metric refuse it at once
            before = done

            def counted(step: ScoringStep, before: int = before) -> ScoringStep:
                return ScoringStep(before + step.done, max(all_of_it, before + step.total))

            scored = yield from translated(part.walk(problem), counted)
            done += len(problem.batches) * (self.steps if isinstance(part, IntegratedGradients) else 1)
            size = sum(abs(score) for score in scored.scores.values())
            for edge, index in edges.items():
                total[index] += scored.scores[edge] / size / len(self.parts)
        return score_graph(problem, total)
