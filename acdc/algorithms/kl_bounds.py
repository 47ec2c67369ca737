r"""Bounds on KL from a part of the vocabulary: most removals are decided before 50,000 logits are worth computing.

Let x be the normed final residual, logits W x + b, q(x) the next-token distribution, c the mean of W's rows, and r the
greatest distance of a row from it. Let a be an anchor: a state all of whose logits are known, and K tokens that are
likely there. Between states s and t,

    KL(p || q(t)) - KL(p || q(s)) = log Z(t) - log Z(s) - (sum over tokens of p (w - c)) . (t - s),

where Z(x) is the sum over tokens of q(a) exp((w - c).(x - a)). The sum over K is worked out for s and t. Of the rest's
sum R only its value and its gradient g at the anchor are. Let m be a bound on the rest's sum of q(a) (u.(w - c))^2 for
any unit vector u, such as the sum of q(a) |w - c|^2, or max q(a) times the greatest eigenvalue of the sum of
(w - c)(w - c)^T; and d = |s - a|, e = |t - s|. As f(y) = (exp(y) - 1 - y) / y^2 and h(y) = (exp(y) - 1) / y grow
with y,

    R(a) + g.(s - a) <= R(s) <= R(a) + g.(s - a) + m f(r d) d^2,
    R(t) - R(s) <= g.(t - s) + m e (h(r d) d + exp(r d) f(r e) e),

the last by Cauchy and Schwarz for the change of R's gradient from a to s. Besides, R changes by a factor of exp(r d) or
exp(r e) at most, either way. Each of the two bounds on R(t) from R(s) bounds

    Z(t) / Z(s) = (K(t) + R(t)) / (K(s) + R(s)),

which then is greatest where R(s) is least or greatest. The tokens furthest from c are in K, so that r, which is needed
of the rest only, is small. Which others are in K is of no concern to the bound, so that they stay while they are the
likeliest but for little. Sums of exponentials are added up as logarithms in float64, so that nothing overflows.

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
from functools import cached_property
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.algorithms import rough_logits
from acdc.graphs.model.unembedding import Unembedding
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, Targets

_LEAST = 1e-300  # no probability counts as less, in a bound from above; float64 has such numbers in full precision
_ROWS = 4096  # of the unembedding in float64 at a time
_FEWEST, _PART, _UNLIKELY, _FAR = 16, 8, 0.01, 256
"""Of how many tokens exponentials are summed at least, and of which part (an eighth) of the vocabulary at most; how
likely all others may be in the mean over prompts; how many of these tokens are the furthest from c, at most a quarter.
"""
_UNLIKELY_ROUGH, _PART_ROUGH = 0.1, 64  # the same where the rest can be summed by rough logits
_NUMBERS = 1 << 21  # products with the rows of these tokens at a time
_STALE = 1.5  # so many times as likely as it was when the likeliest were chosen, the rest has some that are likely
_SLACK = 1e-12  # more than float64 loses in what is said of the rest
_FARTHEST = 300.0  # further away, by r, from where something is known, nothing but the factors above is said


@dataclass(frozen=True)
class _Rest:
    """All but the likeliest tokens at an anchor: R there, at least and at most, its gradient, and m and r as above.

    `off` is how far the gradient is from the true one at most.
    """

    sure: Float[Tensor, " batch"]
    size: Float[Tensor, " batch"]
    gradient: Float[Tensor, "batch d_model"]
    off: Float[Tensor, " batch"]
    moment: Float[Tensor, " batch"]
    reach: float

    def log_bounds(
        self, moved: Float[Tensor, "state batch d_model"], far: Float[Tensor, "state batch"]
    ) -> tuple[Float[Tensor, "state batch"], Float[Tensor, "state batch"]]:
        """The logarithms of what R is at least and at most at states so `far` from the anchor."""
        linear, off = (moved * self.gradient).sum(-1), self.off * far + _SLACK * self.size
        near, reach = self._near(far)
        curved = torch.where(near, self.moment * far.square() * _curvature(reach), math.inf)
        most = self.reach * far
        least = torch.maximum((self.sure + linear - off).clamp(min=0).log(), self.sure.log() - most)
        return least, torch.minimum((self.size + linear + off + (1 + _SLACK) * curved).log(), self.size.log() + most)

    def rise(
        self,
        steps: Float[Tensor, "step batch d_model"],
        size: Float[Tensor, "step batch"],
        far: Float[Tensor, "step batch"],
    ) -> Float[Tensor, "step batch"]:
        """What R rises by at most in steps, of this size, that begin so far from the anchor."""
        (near, reach), (short, own) = self._near(far), self._near(size)
        slope = torch.where(reach > 1e-3, reach.expm1() / reach.clamp(min=1e-3), 1.001)
        turned = self.moment * size * (slope * far + reach.exp() * _curvature(own) * size)
        turned = torch.where(near & short, turned, math.inf)
        return (steps * self.gradient).sum(-1) + self.off * size + (1 + _SLACK) * turned

    def _near(self, distance: Float[Tensor, "state batch"]) -> tuple[Tensor, Tensor]:
        """Whether r times a distance is no larger than what exponentials are taken of, and that, no larger."""
        reach = self.reach * distance
        return reach <= _FARTHEST, reach.clamp(max=_FARTHEST)


def _curvature(y: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """f of the docstring above, from 0 on, or a little more."""
    return torch.where(y > 1e-3, (y.expm1() - y) / y.square().clamp(min=1e-6), 0.501)


@dataclass(frozen=True)
class _Likely:
    """The likeliest tokens of all prompts together, their rows, r, and how likely the rest was at their choice."""

    tokens: Int[Tensor, " likely"]
    rows: Float[Tensor, "likely d_model"]
    reach: float
    rest: float


@dataclass(frozen=True)
class _FromModel:
    """How far q is from p: the sum over tokens of |q - p| times the length of the token's row, and KL, in nats."""

    apart: Float[Tensor, " batch"]
    kl: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Anchor:
    """A normed final residual whose logits are all known, and the likeliest tokens.

    `rows` are these tokens' of the unembedding and `log_shares` the logarithms of their probabilities; `logs` are those
    of all other tokens, in float32 and -inf for these, where they can be summed roughly.
    """

    at: Float[Tensor, "batch d_model"]
    rows: Float[Tensor, "likely d_model"]
    log_shares: Float[Tensor, "batch likely"]
    rest: _Rest
    known: _FromModel
    logs: Float[Tensor, "vocab batch"] | None = None


@dataclass(frozen=True)
class ResidualPath:
    """Normed final residuals, one after the other: how far from the anchor, of what length each is, and K there."""

    anchor: Anchor
    moved: Float[Tensor, "state batch d_model"]
    length: Float[Tensor, "state batch"]
    log_likely: Float[Tensor, "state batch"]

    @cached_property
    def steps(self) -> Float[Tensor, "step batch d_model"]:
        """From each to the next."""
        return torch.diff(self.moved, dim=0)

    @cached_property
    def size(self) -> Float[Tensor, "step batch"]:
        """How long each step is."""
        return _lengths(self.steps)

    @cached_property
    def far(self) -> Float[Tensor, "state batch"]:
        """How far each is from the anchor."""
        return _lengths(self.moved)


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
        self._likely: _Likely | None = None
        weight = unembedding.weight
        self.has_rough = rough_logits.suits(weight.device, weight.dtype, weight.shape[1])

    @staticmethod
    def suits(problem: Problem) -> bool:
        """Whether the metric is KL, logits are linear in the normed residual, and rounding leaves room for bounds."""
        unembedding = problem.model.unembedding
        precise = unembedding.weight.dtype in (torch.float32, torch.float64)
        return isinstance(problem.metric, KLDivergence) and unembedding.soft_cap is None and precise

    def anchor(self, residual: Float[Tensor, "batch d_model"], logits: Float[Tensor, "batch vocab"]) -> Anchor:
        """The anchor at this final residual, whose logits these are."""
        at, spread = self._unembedding.norm(residual).double(), self._unembedding.spread
        shifted = logits.double()
        shifted -= shifted.amax(-1, keepdim=True)
        q = shifted.exp()
        log_total = q.sum(-1, keepdim=True).log()
        q /= log_total.exp()
        kl = self._certainty - (torch.einsum("bv,bv->b", self._p, shifted) - log_total[:, 0] * self._p.sum(-1))
        apart = torch.sub(q, self._p).abs_() @ spread.lengths
        likely = self._chosen(q)
        log_shares = shifted[:, likely.tokens] - log_total
        rest = self._rest(q.index_fill_(-1, likely.tokens, 0.0), likely.reach)
        logs = None
        if self.has_rough:
            logs = torch.sub(shifted, log_total).float().T.contiguous().index_fill_(0, likely.tokens, -math.inf)
        return Anchor(at, likely.rows, log_shares, rest, _FromModel(apart, kl), logs)

    def _chosen(self, q: Float[Tensor, "batch vocab"]) -> _Likely:
        """The likeliest tokens by these probabilities, or of the last time, unless the rest has become more likely."""
        mean = q.mean(0)
        unlikely, part = (_UNLIKELY_ROUGH, _PART_ROUGH) if self.has_rough else (_UNLIKELY, _PART)
        if self._likely is not None:
            rest = 1 - float(mean[self._likely.tokens].sum())
            if rest <= max(unlikely, _STALE * self._likely.rest):
                return self._likely
        spread, vocabulary = self._unembedding.spread, len(mean)
        likeliest = mean.sort(descending=True)
        enough = int((1 - likeliest.values.cumsum(0) > unlikely).sum()) + 1
        count = min(vocabulary, max(_FEWEST, min(enough, vocabulary // part)))
        far = min(count // 4, _FAR)
        tokens = mean.index_fill(0, spread.farthest[:far], math.inf).topk(count).indices
        rest = 1 - float(mean[tokens].sum())
        reach = float(spread.distances[spread.farthest[far]]) if far < vocabulary else 0.0
        self._likely = _Likely(tokens, self._unembedding.weight[tokens], reach, rest)
        return self._likely

    def _rest(self, others: Float[Tensor, "batch vocab"], reach: float) -> _Rest:
        """What is said of the tokens that are not among the likeliest, of these probabilities (0: of the likeliest)."""
        spread, vocabulary = self._unembedding.spread, others.shape[1]
        least = vocabulary * _LEAST * max(1.0, reach**2)
        sure = others.sum(-1)
        moment = torch.minimum(others @ spread.distances.square(), others.amax(-1) * spread.widest) + least
        weight = self._unembedding.weight
        gradient = -sure[:, None] * spread.centre
        for start in range(0, vocabulary, _ROWS):
            some = slice(start, start + _ROWS)
            gradient += (others[:, some].to(weight) @ weight[some]).double()
        # a sum of n products is off by n roundings of their magnitude at most (Higham 2002, section 3.1)
        number = torch.finfo(weight.dtype)
        lost = ((_ROWS + 4) * number.eps + _SLACK) * (others @ spread.lengths + sure * spread.centre.norm())
        lost += vocabulary * number.tiny * spread.longest + least * reach
        return _Rest(sure, sure + least, gradient, lost, moment, reach)

    def path(
        self, anchor: Anchor, now: Float[Tensor, "batch d_model"], residuals: Float[Tensor, "trial batch d_model"]
    ) -> ResidualPath:
        """The way from `now` through these final residuals, one after the other, as the anchor sees it."""
        normed = self._unembedding.norm(torch.cat((now[None], residuals))).double()
        moved = normed - anchor.at
        return ResidualPath(anchor, moved, _lengths(normed), self._log_likely(anchor, moved))

    def bounds(self, path: ResidualPath) -> Float[Tensor, " step"]:
        """By how much KL would be measured to rise at most with each step."""
        return self._risen(path, _log_ratio(path))

    def rough_bounds(self, path: ResidualPath, wanted: Bool[Tensor, " step"]) -> Float[Tensor, " step"]:
        """The same of the wanted steps, the rest of the tokens summed by rough logits; infinity for the others."""
        assert path.anchor.logs is not None
        wanted = wanted.to(path.moved.device)
        no = wanted.new_zeros(1)
        ends = torch.cat((wanted, no)) | torch.cat((no, wanted))
        least, most = torch.full_like(path.far, -math.inf), torch.full_like(path.far, math.inf)
        rough, reach = self._unembedding.rough, path.anchor.rest.reach
        least[ends], most[ends] = rough_logits.log_bounds(rough, reach, path.anchor.logs, path.moved[ends])
        likely = path.log_likely
        ratio = torch.logaddexp(likely[1:], most[1:]) - torch.logaddexp(likely[:-1], least[:-1])
        return self._risen(path, torch.where(wanted[:, None], ratio, math.inf))

    def _risen(self, path: ResidualPath, log_ratio: Float[Tensor, "step batch"]) -> Float[Tensor, " step"]:
        """By how much KL is measured to rise at most, given what the logarithm of Z(t) / Z(s) is at most."""
        spread, anchor = self._unembedding.spread, path.anchor
        rise = log_ratio - (path.steps * self._expected).sum(-1)
        # rounding: of the bound itself, which logits at the anchor and products with the rows go into, and of measuring
        per_length, moves = self._error_per_length(path.length), (path.size, path.far)
        changed, drifted = (2 * spread.longest * torch.tanh(spread.reach * each / 2) for each in moves)
        products = self._error_per_length(path.far) + 2 * self._rounding * path.far
        off = self._error_per_length(anchor.at.norm(dim=-1)) * changed
        off = 2 * (off + spread.longest * (products[1:] + products[:-1]))
        apart = anchor.known.apart + drifted
        both = per_length * apart + (per_length * spread.longest).square() / 2
        size = 2 * math.log(self._p.shape[-1]) + 8 + 2 * (anchor.known.kl + rise.abs())
        noise = both[1:] + both[:-1] + 8 * self._rounding * size
        most = rise + off + noise
        total: Tensor = (most if self._shares is None else most * self._shares.to(most)).sum(-1)
        return total.cpu()

    def _log_likely(self, anchor: Anchor, moved: Float[Tensor, "state batch d_model"]) -> Float[Tensor, "state batch"]:
        """The logarithm of the sum over the likeliest tokens of q(a) exp((w - c).(x - a))."""
        at_once = max(1, _NUMBERS // anchor.log_shares.numel())
        sums = [
            ((some.to(anchor.rows) @ anchor.rows.T).double() + anchor.log_shares).logsumexp(-1)
            for some in torch.split(moved, at_once)
        ]
        return torch.cat(sums) - moved @ self._unembedding.spread.centre

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


def _lengths(vectors: Float[Tensor, "*any d_model"]) -> Float[Tensor, "*any"]:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return lengths


def _log_ratio(path: ResidualPath) -> Float[Tensor, "step batch"]:
    """The logarithm of what Z(t) / Z(s) is at most for each step from a state s to the next one t."""
    rest, before, after = path.anchor.rest, path.log_likely[:-1], path.log_likely[1:]
    rise, factor = rest.rise(path.steps, path.size, path.far[:-1]), rest.reach * path.size
    risen, multiplied = [], []
    for log_rest in rest.log_bounds(path.moved[:-1], path.far[:-1]):
        whole = torch.logaddexp(before, log_rest)
        risen.append(torch.logaddexp(after, (log_rest.exp() + rise).clamp(min=0).log()) - whole)
        multiplied.append(torch.logaddexp(after, log_rest + factor) - whole)
    # each bound is greatest at an end of where R(s) lies; the lesser of the two may be greatest between
    return torch.minimum(torch.maximum(*risen), torch.maximum(*multiplied))
