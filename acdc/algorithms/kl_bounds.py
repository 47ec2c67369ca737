r"""Bounds on KL from a part of the vocabulary: most removals are decided before 50,000 logits are worth computing.

Let x be the normed final residual, logits W x + b, q(x) the next-token distribution, c the mean of W's rows, and r the
greatest distance of a row from it. Let a be an anchor: a state all of whose logits are known, and K the tokens that are
likeliest there. Between states s and t,

    KL(p || q(t)) - KL(p || q(s)) = log Z(t) - log Z(s) - (sum over tokens of p (w - c)) . (t - s),

where Z(x) is the sum over tokens of q(a) exp((w - c).(x - a)). The sum over K is worked out for s and t. The rest's
sum R(s) is at most R(a) exp(r |s - a|). Let m be a bound on the rest's sum of q(a) (u.(w - c))^2 for any unit vector u,
such as the sum of q(a) |w - c|^2, or max q(a) times the greatest eigenvalue of the sum of (w - c)(w - c)^T. As
(exp(y) - 1 - y) / y^2 grows with y, R(s) is also at most

    R(a) + sqrt(R(a) m) |s - a| + m (exp(r |s - a|) - 1 - r |s - a|) / r^2.

And R(t) is at most R(s) exp(r |t - s|). So

    Z(t) / Z(s) <= (K(t) + R(s) exp(r |t - s|)) / (K(s) + R(s)),

which is greatest at R(s) = 0 or where R(s) is. The tokens furthest from c are in K, so that r, which is needed of the
rest only, is small. Sums of exponentials are added up as logarithms in float64, so that nothing overflows.

What rounding may amount to is added. A computed logit is off by `_error_per_length` times the length of its row at most
(Higham and Mary 2019, theorem 3.1, four times over). That moves log Z(t) - log Z(s) by it times |q(t) - q(s)|, in the
sum of absolute values, and each of the KLs that measuring would give by it times |q - p|. Such a sum changes between
two states by no more than 2 tanh(r |t - s| / 2), with r of all rows: no logit, less c's, moves by more than r |t - s|.
A removal is decided unmeasured only if with all this its cost is below the threshold; whatever is not surely below, NaN
and infinity included, is measured. In half precision the logits' rounding alone exceeds what is to be told apart, so
that there everything is measured.
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
_ROWS = 4096  # of the unembedding in float64 at a time
_NUMBERS, _FEWEST, _FAR = 1 << 23, 16, 256
"""How many numbers the rows of the likeliest tokens are at most, in all prompts; of how many tokens at least; and how
many of these are the ones furthest from the mean row, at most a quarter."""


@dataclass(frozen=True)
class _Rest:
    """All but the likeliest tokens at an anchor: the logarithm of their probability, m and r as above."""

    log_size: Float[Tensor, " batch"]
    moment: Float[Tensor, " batch"]
    reach: float

    def log_most(self, moved: Float[Tensor, "state batch"]) -> Float[Tensor, "state batch"]:
        """The logarithm of what R is at most at states so far from the anchor."""
        most, size = self.reach * moved, self.log_size.exp()
        curved = torch.where(most > 1e-3, (most.expm1() - most) / most.square().clamp(min=_LEAST), 0.501)
        sum_of_all = size + (size * self.moment).sqrt() * moved + self.moment * moved.square() * curved
        return torch.minimum(self.log_size + most, sum_of_all.log())


@dataclass(frozen=True)
class Anchor:
    """A normed final residual whose logits are all known, and the tokens that are likeliest there, by prompt.

    `rows` are these tokens' of the unembedding and `log_shares` the logarithms of their probabilities; `apart` is the
    sum over tokens of |q - p| times the length of the token's row, `kl` the KL, in nats.
    """

    at: Float[Tensor, "batch d_model"]
    rows: Float[Tensor, "batch likely d_model"]
    log_shares: Float[Tensor, "batch likely"]
    rest: _Rest
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
        self._expected = self._weighted(self._p)  # the mean row under p, less c
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
        at, spread = self._unembedding.norm(residual).double(), self._unembedding.spread
        vocabulary = logits.shape[1]
        count = min(vocabulary, max(_FEWEST, _NUMBERS // at.numel()))
        far = min(count // 4, _FAR)
        chosen = logits.index_fill(-1, spread.farthest[:far], math.inf)
        likely: Int[Tensor, "batch likely"] = chosen.topk(count).indices
        log_q = logits.double().log_softmax(-1)
        q = log_q.exp()
        kl = self._certainty - torch.einsum("bv,bv->b", self._p, log_q)
        log_shares = log_q.gather(-1, likely)
        apart = torch.sub(q, self._p, out=log_q).abs_() @ spread.lengths
        others = q.scatter_(-1, likely, 0.0)
        reach = float(spread.distances[spread.farthest[far]]) if far < vocabulary else 0.0
        least = vocabulary * _LEAST * max(1.0, reach**2) if count < vocabulary else 0.0
        moment = torch.minimum(others @ spread.distances.square(), others.amax(-1) * spread.widest) + least
        rest = _Rest((others.sum(-1) + least).log(), moment, reach)
        return Anchor(at, self._unembedding.weight[likely], log_shares, rest, apart, kl)

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
        normed = self._unembedding.norm(torch.cat((now[None], residuals))).double()
        moved = normed - anchor.at
        steps = torch.diff(moved, dim=0)
        reach, drift = spread.reach * steps.norm(dim=-1), spread.reach * moved.norm(dim=-1)
        log_likely = self._log_likely(anchor, moved, spread)
        log_rest = anchor.rest.log_most(moved[:-1].norm(dim=-1))
        step_of_rest = anchor.rest.reach * steps.norm(dim=-1)
        ratio = torch.maximum(
            log_likely[1:] - log_likely[:-1],
            torch.logaddexp(log_likely[1:], log_rest + step_of_rest) - torch.logaddexp(log_likely[:-1], log_rest),
        )
        rise = ratio - (steps * self._expected).sum(-1)
        # rounding: of the bound itself, which logits at the anchor and products with the rows go into, and of measuring
        per_length = self._error_per_length(normed.norm(dim=-1))
        changed, drifted = (2 * spread.longest * torch.tanh(each / 2) for each in (reach, drift))
        products = self._error_per_length(moved.norm(dim=-1)) + 2 * self._rounding * moved.norm(dim=-1)
        off = self._error_per_length(anchor.at.norm(dim=-1)) * changed
        off = 2 * (off + spread.longest * (products[1:] + products[:-1]))
        apart = anchor.apart + drifted
        both = per_length * apart + (per_length * spread.longest).square() / 2
        size = 2 * math.log(self._p.shape[-1]) + 8 + 2 * (anchor.kl + rise.abs())
        noise = both[1:] + both[:-1] + 8 * self._rounding * size
        most = rise + off + noise
        total: Tensor = (most if self._shares is None else most * self._shares.to(most)).sum(-1)
        return total.cpu()

    def _log_likely(
        self, anchor: Anchor, moved: Float[Tensor, "state batch d_model"], spread: RowSpread
    ) -> Float[Tensor, "state batch"]:
        """The logarithm of the sum over the likeliest tokens of q(a) exp((w - c).(x - a))."""
        products = torch.bmm(moved.transpose(0, 1).to(anchor.rows.dtype), anchor.rows.transpose(1, 2)).transpose(0, 1)
        sums = (products.double() + anchor.log_shares).logsumexp(-1)
        return sums - moved @ spread.centre

    def _weighted(self, weights: Float[Tensor, "batch vocab"]) -> Float[Tensor, "batch d_model"]:
        """The rows of the unembedding, less their mean, summed with these weights in float64."""
        total = weights.new_zeros(len(weights), self._unembedding.weight.shape[1])
        for start in range(0, weights.shape[1], _ROWS):
            some = slice(start, start + _ROWS)
            total += weights[:, some] @ self._unembedding.weight[some].double()
        return total - weights.sum(-1, keepdim=True) * self._unembedding.spread.centre

    def _error_per_length(self, size: Float[Tensor, "*state batch"]) -> Float[Tensor, "*state batch"]:
        """How far rounding takes a logit from the true one, by the length of its row; `size` is the other factor's."""
        return 4 * math.sqrt(len(self._unembedding.spread.centre)) * self._rounding * size
