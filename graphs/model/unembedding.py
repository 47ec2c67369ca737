"""The end of a transformer: the final norm and the map from the residual stream to logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.parts import Norm

_ROWS = 1024  # of the unembedding in float64 at a time
_FEW = 64


@dataclass(frozen=True)
class RowSpread:
    """How the rows of an unembedding lie about their mean, `centre`; in float64.

    `distances` are the rows' from it and `farthest` the rows by falling distance; `lengths` are the rows' own, and
    `widest` bounds the greatest eigenvalue of the sum of the outer products of rows less `centre`.
    """

    centre: Float[Tensor, " d_model"]
    distances: Float[Tensor, " vocab"]
    farthest: Int[Tensor, " vocab"]
    lengths: Float[Tensor, " vocab"]
    widest: float

    @classmethod
    def of(cls, weight: Float[Tensor, "vocab d_model"]) -> RowSpread:
        """That of these rows."""
        centre = weight.mean(0, dtype=torch.float64)
        products = torch.zeros(2 * weight.shape[1:], dtype=torch.float64, device=weight.device)
        distances, lengths = [], []
        for rows in torch.split(weight, _ROWS):
            exact = rows.double()
            centred = exact - centre
            distances.append(centred.norm(dim=1))
            lengths.append(exact.norm(dim=1))
            single = centred.float()
            products += (single.T @ single).double()
        # a sum of n products in float32 is off by n roundings of their magnitude at most (Higham 2002, section 3.1)
        off = (_ROWS + 2) * torch.finfo(torch.float32).eps * float(products.trace())
        widest = float(torch.linalg.eigvalsh(products)[-1]) + off if products.isfinite().all() else torch.inf
        far = torch.cat(distances)
        return cls(centre, far, far.argsort(descending=True), torch.cat(lengths), widest)

    @property
    def reach(self) -> float:
        """The greatest distance of a row from `centre`."""
        return float(self.distances[self.farthest[0]])

    @property
    def longest(self) -> float:
        """The greatest length of a row."""
        return float(self.lengths.max())


@dataclass(frozen=True)
class RoughRows:
    """The rows of an unembedding less their mean, in bfloat16; each is `off` by that part of its length at most."""

    rows: Float[Tensor, "vocab d_model"]
    off: float

    @classmethod
    def of(cls, weight: Float[Tensor, "vocab d_model"], spread: RowSpread) -> RoughRows:
        """Those of these rows, which lie so."""
        rows = (weight - spread.centre.to(weight)).bfloat16()
        lost = [
            (exact.double() - spread.centre - rough.double()).norm(dim=1)
            for exact, rough in zip(torch.split(weight, _ROWS), torch.split(rows, _ROWS), strict=True)
        ]
        parts = torch.cat(lost) / spread.distances
        return cls(rows, float(parts.nan_to_num(0.0, math.inf).max()))  # 0 / 0 is a row at the mean, as it should be


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
        spread: RowSpread = self._kept("spread", lambda: RowSpread.of(self.weight))
        return spread

    @property
    def rough(self) -> RoughRows:
        """The rows less their mean in bfloat16; likewise."""
        rough: RoughRows = self._kept("rough", lambda: RoughRows.of(self.weight, self.spread))
        return rough

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What was made of the weight as it is, or what is made of it now."""
        version = self.weight._version
        if name not in self._known or self._known[name][0] != version:
            self._known[name] = version, make()
        return self._known[name][1]

    @cached_property
    def _known(self) -> dict[str, tuple[int, Any]]:
        return {}

    def __call__(
        self,
        residual: Float[Tensor, "*batch prompt d_model"],
        columns: Int[Tensor, "prompt column"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "*batch prompt column"]:
        """The logits of the whole vocabulary, or only of each prompt's own `columns`."""
        normed = self.norm(residual, rules)
        if columns is None:
            logits = self._of_all(normed)
        else:
            logits = torch.einsum("...pd,pcd->...pc", normed, self.weight[columns])
            logits = logits if self.bias is None else logits + self.bias[columns]
        return logits if self.soft_cap is None else self.soft_cap * torch.tanh(logits / self.soft_cap)

    def _of_all(self, normed: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        rows = normed[..., 0].numel()
        if rows > _FEW or normed.device.type != "cpu":
            return F.linear(normed, self.weight, self.bias)
        flat = (self.weight @ normed.reshape(rows, -1).T).T.contiguous()  # half the time, where there are few
        logits = flat if self.bias is None else flat + self.bias
        return logits.view(*normed.shape[:-1], -1)
