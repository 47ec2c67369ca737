"""Bounds on KL without the vocabulary: most removals are decided before 50,000 logits are worth computing.

Let x be the normed final residual, logits W x, and q the next-token distribution at an anchor. As a function of x,
KL(p || .) has the gradient W^T (q - p), and a Hessian that is the covariance of W's rows w under the distribution at x.
Let r be the greatest distance of a row from the rows' mean c, and S the sum of (w - c)(w - c)^T. In any direction that
covariance is at most r^2; and at a distance of R from the anchor, where no probability is more than exp(2 r R) times
what it is there, at most that many times the lesser of the covariance's trace at the anchor and of max(q) times S's
greatest eigenvalue. So between two states on one side of a removal, KL rises by the gradient at the anchor times their
difference, give or take the least of these bounds times |difference| R. The gradient takes one vector per prompt, the
rest norms. A removal whose cost is below the threshold even at its bound is decided; all others are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.problem import Problem
from graphs.model.parts import Unembedding
from tasks.metrics import KLDivergence, Targets


@dataclass(frozen=True)
class Anchor:
    """A normed final residual that bounds are taken around, the gradient of KL there, and how much it bends."""

    at: Float[Tensor, "batch d_model"]
    slope: Float[Tensor, "batch d_model"]
    bend: Float[Tensor, " batch"]


@final
class KLScreen:
    """The bounds of one batch of prompts; sums over its prompts, in nats."""

    def __init__(self, unembedding: Unembedding, targets: Targets) -> None:
        self._unembedding = unembedding
        self._expected = targets.reference.softmax(-1) @ unembedding.weight

    @staticmethod
    def suits(problem: Problem) -> bool:
        """Whether the metric is KL, logits are linear in the normed residual, and each prompt is scored once."""
        once = all(not pair.also for pair in problem.pairs.pairs)
        return once and isinstance(problem.metric, KLDivergence) and problem.model.unembedding.soft_cap is None

    def anchor(self, residual: Float[Tensor, "batch d_model"], logits: Float[Tensor, "batch vocab"]) -> Anchor:
        """The anchor at this final residual, whose logits these are."""
        spread = self._unembedding.spread
        q = logits.softmax(-1)
        mean = q @ self._unembedding.weight
        trace = q @ spread.squares - mean.square().sum(-1)
        bend = torch.minimum(trace, q.amax(-1) * spread.widest)
        return Anchor(self._unembedding.norm(residual), mean - self._expected, bend)

    def bounds(
        self,
        anchor: Anchor,
        now: Float[Tensor, "batch d_model"],
        residuals: Float[Tensor, "trial batch d_model"],
    ) -> Float[Tensor, " trial"]:
        """By how much KL rises at most from each of these final residuals to the next, the first from `now`."""
        states = torch.cat((now[None], residuals))
        moved = (self._unembedding.norm(states) - anchor.at).double()
        steps, distance = torch.diff(moved, dim=0), moved.norm(dim=-1)
        farthest = torch.maximum(distance[1:], distance[:-1])
        reach = self._unembedding.spread.reach
        bend = (anchor.bend * (2 * reach * farthest).exp()).clamp(max=reach**2)
        linear = (steps * anchor.slope).sum((-1, -2))
        rise: Tensor = linear + (bend * steps.norm(dim=-1) * farthest).sum(-1)
        return rise.cpu()
