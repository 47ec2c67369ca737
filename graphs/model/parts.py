"""The arithmetic of a transformer as pure functions of its weights.

Axes: `head` first, then any batch axes, then `pos` and `d_model` or `d_head`; so that one batched matrix product serves
all heads, and a head that is not in play costs nothing. Nothing here knows about circuits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from acdc.graphs.long_prompts import SCORES
from acdc.graphs.model.backward_rules import BackwardRules, with_derivative_of
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.placement import beside

NormKind = Literal["layer", "rms", "none"]

_QUERIES = 16
"""Of how many queries attention scores are held at once at least."""


@dataclass(frozen=True)
class Norm:
    """LayerNorm, RMSNorm or nothing, over the last axis; in the tensor's precision, at least float32."""

    kind: NormKind
    weight: Float[Tensor, " d"] | None = None
    bias: Float[Tensor, " d"] | None = None
    eps: float = 0.0

    def __call__(
        self, x: Float[Tensor, "*batch d"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "*batch d"]:
        """The normalised x."""
        match self.kind:
            case "none":
                return x
            case "layer":
                normed = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
                return with_derivative_of(normed, self._linear(x)) if rules.freezes_norms else normed
            case "rms":
                factor = self.factor(x)
                normed = x * (factor.detach() if rules.freezes_norms else factor)
                return normed if self.weight is None else normed * self.weight

    def _linear(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """A layer norm without its bias, were its scale a constant."""
        centred = _wide(x) - _wide(x).mean(-1, keepdim=True)
        scaled = (centred * torch.rsqrt(centred.detach().square().mean(-1, keepdim=True) + self.eps)).to(x.dtype)
        return scaled if self.weight is None else scaled * self.weight

    def scale(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """What an RMSNorm multiplies x by, its weight included."""
        assert self.kind == "rms"
        factor = self.factor(x)
        return factor.expand_as(x) if self.weight is None else factor * self.weight

    def factor(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch 1"]:
        """The same without the weight, by one pass over x."""
        assert self.kind == "rms"
        wide = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        return torch.rsqrt(length.square() / x.shape[-1] + self.eps).to(x.dtype)


def _wide(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """x in float32 at least: squares overflow half precision from 256 on."""
    return x if x.dtype == torch.float64 else x.float()


@dataclass(frozen=True)
class Scales:
    """What norms that span the heads of a layer multiply with, in one run; None where there is no such norm.

    `heads` is of the norm after the sum of the heads, its weight included; `query` and `key` of norms that take the
    queries or keys of all heads together, theirs left out.
    """

    heads: Float[Tensor, "*batch pos d_model"] | None = None
    query: Float[Tensor, "*batch pos 1"] | None = None
    key: Float[Tensor, "*batch pos 1"] | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Scales:
        """Those that `change` makes of these."""
        heads, query, key = (part if part is None else change(part) for part in (self.heads, self.query, self.key))
        return Scales(heads, query, key)

    @classmethod
    def cat(cls, parts: Sequence[Scales]) -> Scales:
        """Those of several batches, one after the other."""
        kinds = zip(*((part.heads, part.query, part.key) for part in parts), strict=True)
        return cls(*(None if kind[0] is None else torch.cat(kind) for kind in kinds))


@dataclass(frozen=True)
class HeadNorm:
    """What some models do to queries and keys before they are rotated: a norm, of each head or of all `joint`ly.

    `gain` multiplies each head's, where heads have weights of their own; as many heads share one as share a projection.
    """

    norm: Norm
    gain: Float[Tensor, "group d_head"] | None = None
    joint: bool = False

    def scale(self, made: Float[Tensor, "head *batch d_head"]) -> Float[Tensor, "*batch 1"] | None:
        """What a joint norm multiplies the queries or keys of all heads with; None for others."""
        if not self.joint:
            return None
        mean = _wide(made).square().mean(-1, keepdim=True).mean(0)
        return torch.rsqrt(mean + self.norm.eps).to(made.dtype)


@dataclass(frozen=True)
class Projection:
    """What turns the normed residual into one head's queries, keys or values, for every head of a layer.

    Neighbouring heads, `shared` of them, may have the same weight, which is then there once for the group. What is made
    is normed, and nothing in it is larger than `clip`.
    """

    weight: Float[Tensor, "group d_model d_head"]
    bias: Float[Tensor, "group d_head"] | None
    norm: HeadNorm
    shared: int = 1
    clip: float | None = None

    def of_all(self, normed: Float[Tensor, "*batch pos d_model"]) -> Float[Tensor, "head *batch pos d_head"]:
        """`linear` of every head, given that all of them read the same."""
        out = self._times(normed.flatten(0, -2).expand(len(self.weight), -1, -1), self.weight, self.bias)
        out = out.view(len(out), *normed.shape[:-1], -1)
        return out if self.shared == 1 else out.repeat_interleave(self.shared, dim=0)

    def linear(
        self, normed: Float[Tensor, "selected *batch pos d_model"], heads: Int[Tensor, " selected"] | None = None
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """The linear projection of each selected head (None: all) of that head's own normed input."""
        weight, bias, flat = self.weight, self.bias, normed.flatten(1, -2)
        if heads is not None:
            group = heads if self.shared == 1 else heads // self.shared
            weight, bias = weight[group.to(weight.device)], None if bias is None else bias[group]
        elif self.shared > 1:
            flat = flat.reshape(len(weight), -1, flat.shape[-1])
        return self._times(flat, weight, bias).view(*normed.shape[:-1], weight.shape[-1])

    def of_normed(
        self,
        norm: Norm,
        residual: Float[Tensor, "selected *batch pos d_model"],
        heads: Int[Tensor, " selected"] | None = None,
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """`linear` of what a norm makes of these residual streams; an RMSNorm's scale is put on what is made of them.

        That is fewer numbers. In half precision they could overflow without the scale.
        """
        if norm.kind != "rms" or residual.dtype not in (torch.float32, torch.float64):
            return self.linear(norm(residual), heads)
        there, group = self.weight.device, None if heads is None else heads // self.shared
        weight, flat = self.weight if group is None else self.weight[group.to(there)], residual.flatten(1, -2)
        weight = weight if norm.weight is None else weight * norm.weight.to(there)[:, None]
        if group is None:
            flat = flat.reshape(len(weight), -1, flat.shape[-1])
        made = self._times(flat, weight, None).view(*residual.shape[:-1], -1) * norm.factor(residual)
        if self.bias is None:
            return made
        bias = self.bias.repeat_interleave(self.shared, dim=0) if group is None else self.bias[group]
        return made + bias.view(len(bias), *[1] * (made.ndim - 2), -1)

    @staticmethod
    def _times(
        flat: Float[Tensor, "group row d_model"],
        weight: Float[Tensor, "group d_model d_head"],
        bias: Float[Tensor, "group d_head"] | None,
    ) -> Float[Tensor, "group row d_head"]:
        def made(flat: Tensor, device: torch.device) -> Tensor:
            if bias is None:
                return torch.bmm(flat, weight.to(device))
            return torch.baddbmm(bias[:, None].to(device), flat, weight.to(device))

        return beside(weight.device, flat, made)

    def finish(
        self,
        made: Float[Tensor, "selected *batch d_head"],
        heads: Int[Tensor, " selected"] | None = None,
        scale: Float[Tensor, "*#batch 1"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "selected *batch d_head"]:
        """What becomes of `linear`: normed, by the frozen `scale` where the norm is of all heads, and clipped."""
        if self.norm.joint:
            assert scale is not None
            made = made * scale
        else:
            made = self.norm.norm(made, rules)
        if self.norm.gain is not None:
            every = torch.arange(len(made), device=made.device) if heads is None else heads
            gain = self.norm.gain[every // self.shared]
            made = made * gain.view(len(gain), *[1] * (made.ndim - 2), -1)
        return made if self.clip is None else made.clamp(-self.clip, self.clip)


@dataclass(frozen=True)
class OutputProjection:
    """What turns the values that heads gather into what they write; `bias` belongs to no head.

    `post_norm` is the norm that some models put after the sum of the heads.
    """

    weight: Float[Tensor, "head d_head d_model"]
    bias: Float[Tensor, " d_model"]
    post_norm: Norm | None = None

    def each(
        self, z: Float[Tensor, "selected *batch pos d_head"], heads: Int[Tensor, " selected"] | None = None
    ) -> Float[Tensor, "selected *batch pos d_model"]:
        """What each selected head (None: all) writes of what it has gathered, before any post norm."""

        def made(flat: Tensor, device: torch.device) -> Tensor:
            weight = self.weight if heads is None else self.weight[heads.to(self.weight.device)]
            return torch.bmm(flat, weight.to(device))

        wrote = beside(self.weight.device, z.flatten(1, -2), made)
        return wrote.view(*z.shape[:-1], wrote.shape[-1])

    def together(self, z: Float[Tensor, "head *batch pos d_head"]) -> Float[Tensor, "*batch pos d_model"]:
        """What all heads write together."""
        return beside(self.weight.device, z, lambda z, on: torch.einsum("h...k,hkd->...d", z, self.weight.to(on)))

    def back(self, written: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "head batch pos d_head"]:
        """From a gradient at what all heads write to that at what each has gathered."""
        return beside(self.weight.device, written, lambda x, on: torch.einsum("bpd,hkd->hbpk", x, self.weight.to(on)))


@dataclass(frozen=True)
class AttentionScores:
    """What the product of a query and a key is multiplied with, and what it is softly capped at, with tanh."""

    scale: float
    soft_cap: float | None = None


@dataclass(frozen=True)
class Attention:
    """One attention layer, head by head."""

    norm: Norm
    query: Projection
    key: Projection
    value: Projection
    output: OutputProjection
    scores: AttentionScores

    def attend(
        self,
        q: Float[Tensor, "head *#batch query d_head"],
        k: Float[Tensor, "head *#batch key d_head"],
        v: Float[Tensor, "head *#batch key d_head"],
        geometry: Geometry,
        heads: Int[Tensor, " head"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "head *batch query d_head"]:
        """The value each query gathers: softmax of the scaled, capped and masked scores, times the values.

        Of long prompts, some queries at a time, so that the scores of all with all never stand in memory together; a
        gradient computes them again. Keys that none of these queries may read are left out.
        """
        gather = partial(self._gather, heads=heads, rules=rules)
        each = k.shape[-2] * math.prod(map(max, q.shape[:-2], k.shape[:-2]))
        at_once = max(_QUERIES, SCORES // max(1, each))
        if at_once >= q.shape[-2]:
            return gather(q, k, v, geometry)
        parts = []
        for start in range(0, q.shape[-2], at_once):
            rows = slice(start, start + at_once)
            part, keys = geometry.rows(rows)
            given = q[..., rows, :], k[..., keys, :], v[..., keys, :], part
            parts.append(checkpoint(gather, *given, use_reentrant=False) if torch.is_grad_enabled() else gather(*given))
        return torch.cat(parts, dim=-2)

    def _gather(
        self,
        q: Float[Tensor, "head *#batch query d_head"],
        k: Float[Tensor, "head *#batch key d_head"],
        v: Float[Tensor, "head *#batch key d_head"],
        geometry: Geometry,
        heads: Int[Tensor, " head"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "head *batch query d_head"]:
        return rules.multiplied(self.pattern(q, k, geometry, heads, rules), v)

    def pattern(
        self,
        q: Float[Tensor, "head *#batch query d_head"],
        k: Float[Tensor, "head *#batch key d_head"],
        geometry: Geometry,
        heads: Int[Tensor, " head"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "head *batch query key"]:
        """What part of its attention each query pays to each key: softmax of the scaled, capped and masked scores."""
        scores = rules.multiplied(q * self.scores.scale, k.transpose(-2, -1))
        if geometry.bias is not None:
            bias = geometry.bias if heads is None else geometry.bias[heads]
            scores = scores + bias.view(len(bias), *[1] * (scores.ndim - 2), -1).to(scores.dtype)
        if self.scores.soft_cap is not None:
            scores = self.scores.soft_cap * torch.tanh(scores / self.scores.soft_cap)
        return rules.pattern(scores.masked_fill(~geometry.allowed, -torch.inf))

    def write(
        self, z: Float[Tensor, "selected *batch pos d_head"], heads: Int[Tensor, " selected"] | None = None
    ) -> Float[Tensor, "selected *batch pos d_model"]:
        """What each selected head adds to the residual stream, before any post norm."""
        return self.output.each(z, heads)
