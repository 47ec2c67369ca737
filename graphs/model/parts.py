"""The arithmetic of a transformer as pure functions of its weights.

Axes: `head` first, then any batch axes, then `pos` and `d_model` or `d_head`; so that one batched matrix product serves
all heads, and a head that is not in play costs nothing. Nothing here knows about circuits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

NormKind = Literal["layer", "rms", "none"]

_ROWS = 1024  # of the unembedding in one sum


@dataclass(frozen=True)
class Norm:
    """LayerNorm, RMSNorm or nothing, over the last axis; in the tensor's precision, at least float32."""

    kind: NormKind
    weight: Float[Tensor, " d"] | None = None
    bias: Float[Tensor, " d"] | None = None
    eps: float = 0.0

    def __call__(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The normalised x."""
        match self.kind:
            case "none":
                return x
            case "layer":
                return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
            case "rms":
                return x * self.scale(x)

    def pull_back(
        self, x: Float[Tensor, "*#batch d"], gradient: Float[Tensor, "*batch d"]
    ) -> Float[Tensor, "*batch d"]:
        """The gradient at x of what has this gradient at the norm of x."""
        if self.kind == "none":
            return gradient
        x, gradient, dtype = _wide(x), _wide(gradient), gradient.dtype
        gradient = gradient if self.weight is None else gradient * self.weight
        centred = x - x.mean(-1, keepdim=True) if self.kind == "layer" else x
        inverse = torch.rsqrt(centred.square().mean(-1, keepdim=True) + self.eps)
        normed = centred * inverse
        radial = normed * (gradient * normed).mean(-1, keepdim=True)
        mean = gradient.mean(-1, keepdim=True) if self.kind == "layer" else 0.0
        return ((gradient - radial - mean) * inverse).to(dtype)

    def scale(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """What an RMSNorm multiplies x by, its weight included."""
        assert self.kind == "rms"
        factor = torch.rsqrt(_wide(x).square().mean(-1, keepdim=True) + self.eps).to(x.dtype)
        return factor.expand_as(x) if self.weight is None else factor * self.weight


def _wide(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """x in float32 at least: squares overflow half precision from 256 on."""
    return x if x.dtype == torch.float64 else x.float()


@dataclass(frozen=True)
class Positional:
    """Where in the sequence queries sit and what they may see, for one layer.

    `rotation` holds the cosines and sines of rotary embedding; `allowed` which keys each query may read.
    The batch axis is 1 when all prompts share them.
    """

    allowed: Bool[Tensor, "batch query key"]
    rotation: tuple[Float[Tensor, "batch query rotary"], Float[Tensor, "batch query rotary"]] | None = None

    def at(self, positions: Int[Tensor, " prompt"]) -> Positional:
        """The same for one query position per prompt."""
        rotation = self.rotation and (self.rotation[0][0, positions, None], self.rotation[1][0, positions, None])
        return Positional(self.allowed[0, positions, None], rotation)

    def first(self, end: int) -> Positional:
        """The same for the first `end` positions of the sequence only."""
        rotation = self.rotation and (self.rotation[0][:, :end], self.rotation[1][:, :end])
        return Positional(self.allowed[:, :end, :end], rotation)

    def to(self, dtype: torch.dtype) -> Positional:
        """The same in another precision."""
        return Positional(self.allowed, self.rotation and (self.rotation[0].to(dtype), self.rotation[1].to(dtype)))

    def rotate(self, x: Float[Tensor, "head *batch pos d_head"]) -> Float[Tensor, "head *batch pos d_head"]:
        """x turned by its position (Su et al. 2021, half-split layout); dimensions past the rotary ones stay."""
        if self.rotation is None:
            return x
        cos, sin = self.rotation
        turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
        first, second = turned.chunk(2, dim=-1)
        turned = turned * cos + torch.cat((-second, first), dim=-1) * sin
        return torch.cat((turned, rest), dim=-1) if rest.shape[-1] else turned


@dataclass(frozen=True)
class Projection:
    """What turns the normed residual into one head's queries, keys or values, for every head of a layer."""

    weight: Float[Tensor, "head d_model d_head"]
    bias: Float[Tensor, "head d_head"] | None
    norm: Norm

    def __call__(
        self, normed: Float[Tensor, "selected *batch pos d_model"], heads: Int[Tensor, " selected"] | None = None
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """The projection of each selected head (None: all) of that head's own normed input."""
        return self.norm(self.linear(normed, heads))

    def linear(
        self, normed: Float[Tensor, "selected *batch pos d_model"], heads: Int[Tensor, " selected"] | None = None
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """The same before the norm that some models put on queries and keys."""
        weight = self.weight if heads is None else self.weight[heads]
        bias = None if self.bias is None else self.bias if heads is None else self.bias[heads]
        flat = normed.flatten(1, -2)
        out = torch.bmm(flat, weight) if bias is None else torch.baddbmm(bias[:, None], flat, weight)
        return out.view(*normed.shape[:-1], weight.shape[-1])

    def pull_back(self, gradient: Float[Tensor, "head *batch pos d_head"]) -> Float[Tensor, "head *batch pos d_model"]:
        """The gradient at each head's normed input of what has this gradient at `linear` of it."""
        out = torch.bmm(gradient.flatten(1, -2), self.weight.transpose(1, 2))
        return out.view(*gradient.shape[:-1], self.weight.shape[1])


@dataclass(frozen=True)
class Attention:
    """One attention layer, head by head.

    `post_norm` is the norm that Gemma puts after the sum of the heads; `output_bias` belongs to no head.
    """

    norm: Norm
    query: Projection
    key: Projection
    value: Projection
    output: Float[Tensor, "head d_head d_model"]
    output_bias: Float[Tensor, " d_model"]
    scale: float
    soft_cap: float | None
    post_norm: Norm | None

    def attend(
        self,
        q: Float[Tensor, "head *#batch query d_head"],
        k: Float[Tensor, "head *#batch key d_head"],
        v: Float[Tensor, "head *#batch key d_head"],
        positional: Positional,
    ) -> Float[Tensor, "head *batch query d_head"]:
        """The value each query gathers: softmax of the scaled, capped and masked scores, times the values."""
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if self.soft_cap is not None:
            scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
        pattern = scores.masked_fill(~positional.allowed, -torch.inf).softmax(dim=-1)
        return pattern @ v

    def write(
        self, z: Float[Tensor, "selected *batch pos d_head"], heads: Int[Tensor, " selected"] | None = None
    ) -> Float[Tensor, "selected *batch pos d_model"]:
        """What each selected head adds to the residual stream, before any post norm."""
        output = self.output if heads is None else self.output[heads]
        return torch.bmm(z.flatten(1, -2), output).view(*z.shape[:-1], output.shape[-1])


@dataclass(frozen=True)
class Mlp:
    """One MLP with its norms: plain (`gate` is None) or gated; `inner_norm` as in SoLU models."""

    norm: Norm
    into: tuple[Float[Tensor, "d_mlp d_model"], Float[Tensor, " d_mlp"] | None]
    gate: tuple[Float[Tensor, "d_mlp d_model"], Float[Tensor, " d_mlp"] | None] | None
    out: tuple[Float[Tensor, "d_model d_mlp"], Float[Tensor, " d_model"] | None]
    activation: Callable[[Tensor], Tensor]
    inner_norm: Norm
    post_norm: Norm

    def __call__(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """What the MLP adds to the residual stream it reads."""
        normed = self.norm(residual)
        hidden = F.linear(normed, *self.into)
        hidden = (
            self.activation(hidden) if self.gate is None else self.activation(F.linear(normed, *self.gate)) * hidden
        )
        return self.post_norm(F.linear(self.inner_norm(hidden), *self.out))


@dataclass(frozen=True)
class RowSpread:
    """How the rows of an unembedding lie about their mean, `centre`.

    `distances` are the rows' from it and `reach` the greatest of them; `longest` is the greatest norm of a row, and
    `widest` bounds the greatest eigenvalue of the sum of the outer products of rows less `centre`. In float64; `reach`
    and `widest` are never 0, so that they have logarithms.
    """

    centre: Float[Tensor, " d_model"]
    distances: Float[Tensor, " vocab"]
    reach: float
    longest: float
    widest: float

    @classmethod
    def of(cls, weight: Float[Tensor, "vocab d_model"]) -> RowSpread:
        """That of these rows."""
        centre = weight.mean(0, dtype=torch.float64)
        products = torch.zeros(2 * weight.shape[1:], dtype=torch.float64, device=weight.device)
        distances, longest = [], 0.0
        for rows in torch.split(weight, _ROWS):
            exact = rows.double()
            centred = exact - centre
            distances.append(centred.norm(dim=1))
            longest = max(longest, float(exact.norm(dim=1).max()))
            single = centred.float()
            products += (single.T @ single).double()
        # a sum of n products in float32 is off by n roundings of their magnitude at most (Higham 2002, section 3.1)
        off = (_ROWS + 2) * torch.finfo(torch.float32).eps * float(products.trace())
        widest = float(torch.linalg.eigvalsh(products)[-1]) + off if products.isfinite().all() else torch.inf
        reach, least = max(float(part.max()) for part in distances), torch.finfo(torch.float64).tiny
        return cls(centre, torch.cat(distances), max(reach, least), longest, max(widest, least))


@dataclass(frozen=True)
class Unembedding:
    """The final norm and the map from the residual stream to logits."""

    norm: Norm
    weight: Float[Tensor, "vocab d_model"]
    bias: Float[Tensor, " vocab"] | None
    soft_cap: float | None

    @property
    def spread(self) -> RowSpread:
        """How the rows of the weight lie; worked out when first asked for, and again once the weight was edited."""
        version = self.weight._version
        if version not in self._spreads:
            self._spreads.clear()
            self._spreads[version] = RowSpread.of(self.weight)
        return self._spreads[version]

    @cached_property
    def _spreads(self) -> dict[int, RowSpread]:
        return {}

    def __call__(
        self,
        residual: Float[Tensor, "*batch prompt d_model"],
        columns: Int[Tensor, "prompt column"] | None = None,
    ) -> Float[Tensor, "*batch prompt column"]:
        """The logits of the whole vocabulary, or only of each prompt's own `columns`."""
        normed = self.norm(residual)
        if columns is None:
            logits = F.linear(normed, self.weight, self.bias)
        else:
            logits = torch.einsum("...pd,pcd->...pc", normed, self.weight[columns])
            logits = logits if self.bias is None else logits + self.bias[columns]
        return logits if self.soft_cap is None else self.soft_cap * torch.tanh(logits / self.soft_cap)
