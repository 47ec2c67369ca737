"""Score every edge by one backward pass in which parts that are not linear have other derivatives than their own.

At the price of edge attribution patching: one run and one backward pass for each batch of prompts. Like it, they start
from the metric's gradient at the clean run, and refuse a metric that is stationary there, such as KL or L2.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from acdc.algorithms.attribution import by_one_gradient
from acdc.algorithms.scores import ScoringStep
from acdc.graphs.circuit import Circuit
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.problem import Problem


@dataclass(frozen=True)
class RelevancePatching:
    """Relevance patching (RelP): attribution patching with coefficients of layer-wise relevance propagation.

    An edge scores the receiver's coefficient times what the edge would change: in the metric's units, positive where
    the edge helps. `BackwardRules.RELEVANCE` says what has which coefficient. Attention has its own gradient, so that
    edges into queries and keys score.

    Source: Jafari et al. 2025 (arXiv:2508.21258).
    """

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
        """
        return (yield from by_one_gradient(problem, BackwardRules.RELEVANCE))


@dataclass(frozen=True)
class GradientInteraction:
    """Gradient interaction modifications (GIM): attribution patching that looks past self-repair in attention.

    An edge scores the receiver's modified gradient times what the edge would change, positive where the edge helps.
    `BackwardRules.INTERACTION` says what is modified. Factors of a product share its gradient, so that scores are
    there to rank edges: they are smaller than effects, more so the more products are between an edge and the logits.

    Source: Edin et al. 2025 (arXiv:2505.17630).
    """

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
        """
        return (yield from by_one_gradient(problem, BackwardRules.INTERACTION))
