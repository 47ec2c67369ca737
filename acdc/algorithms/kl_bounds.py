r"""Bounds on KL without the vocabulary: most removals are decided before 50,000 logits are worth computing.

Let x be the normed final residual, logits W x + b, and q(x) the next-token distribution. As a function of x, KL(p || q)
has the gradient W^T (q - p), and a Hessian that is the covariance of W's rows w under q(x). Let a be an anchor, |x - a|
at most R, u a unit vector, and r the greatest distance of a row from the rows' mean c.

1. Var(u.w) under q(x) is at most E|w - c|^2 <= r^2.
2. No probability is more than exp(2 r R) times what it is at a: up to one constant for all, a logit differs from a's by
   (w - c).(x - a), which is within r R, and so does the logarithm of the sum of their exponentials.
3. A variance is at most the mean square about any point. So Var(u.w) under q(x) is at most exp(2 r R) times the sum
   over rows of q(a) (u.(w - m))^2, whatever m: m the mean under q(a), as computed; m the likeliest row, for which only
   the others count; and m = c, where the sum is at most max q(a) times the greatest eigenvalue of S, the sum of
   (w - c)(w - c)^T. The least of these and of 1 is the `bend`.
4. So from state s to state t, both within R of a, KL rises at most by gradient(a).(t - s) + bend |t - s| R.

Nothing here is a difference of near equals that rounding could turn into 0: the second sum is one of positive terms, in
float64 and with what underflows counted as `_LEAST`, so that it stays right where q(a) is one-hot to any precision; the
exponential is added to logarithms before the least is taken, so that nothing is 0 times infinity; and q - p is
subtracted in float64. What rounding may amount to is added: in the anchor's gradient, and in both KLs that measuring
would give, whose logits are off by `_logit_error` (Higham and Mary 2019, theorem 3.1, four times over). A removal is
decided unmeasured only if with all this its cost is below the threshold; whatever is not surely below, NaN and infinity
included, is measured. In half precision the logits' rounding alone exceeds what is to be told apart, so that there
everything is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model.unembedding import RowSpread, Unembedding
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, Targets

_LEAST = 1e-300  # no probability counts as less, in a bound from above; float64 has such numbers in full precision
_ROWS = 1024  # of the unembedding in one sum; a sum of n terms is off by n roundings of their magnitude at most


@dataclass(frozen=True)
class Anchor:
    """A normed final residual that bounds are taken around, and what is known there of each prompt.

    `slope` is the gradient of KL and `slope_error` how far it may be off; `log_bend` bounds the variance at the anchor
    itself; `apart` is the sum of |q - p|, `kl` the KL, in nats.
    """

    at: Float[Tensor, "batch d_model"]
    slope: Float[Tensor, "batch d_model"]
    slope_error: Float[Tensor, " batch"]
    log_bend: Float[Tensor, " batch"]
    apart: Float[Tensor, " batch"]
    kl: Float[Tensor, " batch"]


@final
class KLScreen:
    """The bounds of one batch of prompts; sums over its prompts, in nats."""

    def __init__(self, unembedding: Unembedding, targets: Targets) -> None:
        self._unembedding = unembedding
        log_p = targets.reference.double().log_softmax(-1)
        self._p = log_p.exp()
        self._certainty = torch.where(self._p > 0, self._p * log_p, 0.0).sum(-1)  # of p, the negative entropy
        self._shares = targets.shares
        self._rounding = torch.finfo(unembedding.weight.dtype).eps / 2

    @staticmethod
    def suits(problem: Problem) -> bool:
        """Whether the metric is KL, logits are linear in the normed residual, and rounding leaves room for bounds."""
        unembedding = problem.model.unembedding
        precise = unembedding.weight.dtype in (torch.float32, torch.float64)
        return isinstance(problem.metric, KLDivergence) and unembedding.soft_cap is None and precise

    def anchor(self, residual: Float[Tensor, "batch d_model"], logits: Float[Tensor, "batch vocab"]) -> Anchor:
        """The anchor at this final residual, whose logits these are."""
        spread = self._unembedding.spread
        at = self._unembedding.norm(residual).double()
        top, likeliest = logits.max(-1, keepdim=True)
        below_top = logits.double() - top.double()
        q = below_top.exp()  # the one exponential of the whole vocabulary; all else is sums
        size = q.sum(-1, keepdim=True)
        q /= size
        difference = q - self._p
        mean, slope = self._sums(torch.stack((q, difference)), spread)
        apart = difference.abs().sum(-1)
        kl = self._certainty - (self._p * below_top).sum(-1) + size.squeeze(-1).log()
        logit_error = self._logit_error(at.norm(dim=-1), spread)
        log_bend = self._log_bend(q, likeliest, mean, spread) + 2 * logit_error
        product_error = _ROWS * self._rounding * apart * spread.longest
        slope_error = torch.expm1(2 * logit_error) * (log_bend / 2).exp() + product_error
        return Anchor(at, slope, slope_error, log_bend, apart, kl)

    def bounds(
        self,
        anchor: Anchor,
        now: Float[Tensor, "batch d_model"],
        residuals: Float[Tensor, "trial batch d_model"],
    ) -> Float[Tensor, " trial"]:
        """By how much KL would be measured to rise at most from each of these final residuals to the next.

        The first rises from `now`.
        """
        spread = self._unembedding.spread
        moved = self._unembedding.norm(torch.cat((now[None], residuals))).double() - anchor.at
        steps, distance = torch.diff(moved, dim=0), moved.norm(dim=-1)
        farthest, length = torch.maximum(distance[1:], distance[:-1]), steps.norm(dim=-1)
        log_bend = (anchor.log_bend + 2 * spread.reach * farthest).clamp(max=2 * math.log(spread.reach))
        bend = log_bend.exp()
        rise = (steps * anchor.slope).sum(-1) + (anchor.slope_error + bend * farthest) * length
        # along the way |q - p|_1 changes by a standard deviation per unit at most
        apart = (anchor.apart + bend.sqrt() * farthest).clamp(max=2)
        off = self._logit_error(anchor.at.norm(dim=-1) + farthest, spread)
        size = 2 * math.log(self._p.shape[-1]) + 8 + 2 * (anchor.kl + rise.abs())
        noise = 2 * (off * apart + off.square() / 2 + 4 * self._rounding * size)
        most = rise + noise
        total: Tensor = (most if self._shares is None else most * self._shares.to(most)).sum(-1)
        return total.cpu()

    def _log_bend(
        self,
        q: Float[Tensor, "batch vocab"],
        likeliest: Int[Tensor, "batch 1"],
        mean: Float[Tensor, "batch d_model"],
        spread: RowSpread,
    ) -> Float[Tensor, " batch"]:
        """The logarithm of the least of the three bounds on the variance at the anchor; `mean` is that of w - c."""
        powers = torch.stack((torch.ones_like(spread.distances), spread.distances, spread.distances.square()), dim=1)
        top, its_distance = q.gather(-1, likeliest), spread.distances[likeliest.squeeze(-1)]
        others = q.scatter(-1, likeliest, 0.0) @ powers
        squares = others[:, 2] + top.squeeze(-1) * its_distance.square()
        about_row = others[:, 2] + 2 * others[:, 1] * its_distance + others[:, 0] * its_distance.square()
        about_row += q.shape[-1] * _LEAST * (2 * spread.reach) ** 2
        error = 2 * _ROWS * self._rounding * spread.longest * mean.norm(dim=-1) + 1e-12 * spread.reach**2
        about_mean = (squares - mean.square().sum(-1)).clamp(min=0) + error
        about_centre = top.squeeze(-1) * spread.widest
        return torch.minimum(torch.minimum(about_row, about_mean), about_centre).log()

    def _sums(self, weights: Float[Tensor, "two batch vocab"], spread: RowSpread) -> Float[Tensor, "two batch d_model"]:
        """The rows of the unembedding about their mean, summed with these weights, added up in float64."""
        rows = self._unembedding.weight
        total = weights.new_zeros(*weights.shape[:-1], rows.shape[-1])
        for start in range(0, len(rows), _ROWS):
            some = slice(start, start + _ROWS)
            total += (weights[..., some].to(rows.dtype) @ rows[some]).double()
        return total - weights.sum(-1, keepdim=True) * spread.centre

    def _logit_error(self, size: Float[Tensor, "*trial batch"], spread: RowSpread) -> Float[Tensor, "*trial batch"]:
        """How far rounding takes a computed logit from the true one, where the normed residual is of this length."""
        return 4 * math.sqrt(len(spread.centre)) * self._rounding * spread.longest * size
