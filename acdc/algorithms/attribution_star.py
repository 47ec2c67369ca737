"""Score every edge by attribution that sees past saturated attention and past effects that cancel (AtP*)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.metric_gradient import gradient, require_nonzero
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.dropped_layers import sizes_of_effects
from acdc.graphs.execution.gradients import Linearisation
from acdc.problem import Problem


@dataclass(frozen=True)
class AttributionStar:
    """AtP*: attribution patching that runs the softmax, in the mean over gradients that leave out a layer each.

    An edge into queries or keys scores what its head would gather without it times the gradient there (QK fix). Every
    score is the mean, over prompts and over the layers other than the receiver's, of the size of the estimate by a
    gradient from which what the layer writes is left out (GradDrop): never negative, so it does not tell help from
    harm. It takes half a backward pass for each layer, and the metric's gradient at the clean run.

    Source: Kramar et al. 2024 (arXiv:2403.00745), sections 3.1.1 and 3.1.2, there for nodes.
    """

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
        """
        graph, done = problem.graph, 0
        total = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)
        for batch in problem.batches:
            columns, targets = batch.columns(problem.metric)
            with torch.no_grad():
                run = Linearisation(batch.whole, columns=columns)
                slope = gradient(problem.metric, run.logits, targets)
                if not problem.metric.stationary:  # else the gradient is rounding noise
                    sizes = sizes_of_effects(run, slope, batch.prompts.prompt_numbers)
                    total += sizes.double().cpu() / len(problem.pairs)
            batch.release()
            del batch, run  # streamed, only one has room
            done += 1  # noqa: SIM113  # enumerate would hold on to the batch
            yield ScoringStep(done, len(problem.batches))
        return score_graph(problem, require_nonzero(problem, total))
