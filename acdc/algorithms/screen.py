"""Bounds on KL without the vocabulary: most removals are decided before 50,000 logits are worth computing.

Let x be the normed final residual, logits W x, and q the next-token distribution at an anchor. As a function of x,
KL(p || .) has the gradient W^T (q - p), and a Hessian that is the covariance of W's rows under the distribution at x:
at most r^2 in any direction, r being the greatest distance of a row from the rows' mean, whatever that distribution. So
between two states on one side of a removal, KL rises by the gradient at the anchor times their difference, give or take
r^2 |difference| max(|distance to the anchor|). The gradient takes one vector per prompt, the rest norms. A removal
whose cost is below the threshold even at its bound is decided; all others are measured.
"""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.problem import Problem
from graphs.incremental import IncrementalExecutor
from tasks.metrics import KLDivergence, Targets


@final
class KLScreen:
    """The bounds of one batch of prompts; sums over its prompts, in nats."""

    def __init__(self, executor: IncrementalExecutor, targets: Targets) -> None:
        self._executor = executor
        self._unembedding = executor.runs.model.unembedding
        weight = self._unembedding.weight
        self._reach = float((weight - weight.mean(0)).norm(dim=1).max())
        self._reference = targets.reference.softmax(-1)

    @staticmethod
    def suits(problem: Problem) -> bool:
        """Whether the metric is KL and logits are linear in the normed residual."""
        return isinstance(problem.metric, KLDivergence) and problem.model.unembedding.soft_cap is None

    def anchor(self) -> None:
        """Take bounds around the circuit of the moment from now on."""
        self._at = self._unembedding.norm(self._executor.residual)
        self._slope = (self._executor.logits.softmax(-1) - self._reference) @ self._unembedding.weight

    def bounds(self, residual: Float[Tensor, "trial batch d_model"]) -> Float[Tensor, " trial"]:
        """By how much KL rises at most from each of these final residuals to the next, the first from the anchor."""
        moved = (self._unembedding.norm(residual) - self._at).double()
        steps = torch.diff(moved, dim=0, prepend=torch.zeros_like(moved[:1]))
        distance = moved.norm(dim=-1)
        farthest = torch.maximum(distance, torch.cat((torch.zeros_like(distance[:1]), distance[:-1])))
        linear = (steps * self._slope).sum((-1, -2))
        rise: Tensor = linear + self._reach**2 * (steps.norm(dim=-1) * farthest).sum(-1)
        return rise.cpu()
