"""One layer of a transformer: its attention and its MLP."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from graphs.model.parts import Attention, Mlp, Place


@dataclass(frozen=True)
class Layer:
    """One layer; `mlp` is None in attention-only models."""

    attention: Attention
    mlp: Mlp | None

    def attend(
        self, residual: Float[Tensor, "batch pos d_model"], place: Place
    ) -> Float[Tensor, "head batch pos d_model"]:
        """What each head writes when all of them read the same residual stream, before any post norm."""
        attention = self.attention
        normed = attention.norm(residual).expand(len(attention.output), *residual.shape)
        q, k, v = attention.query(normed), attention.key(normed), attention.value(normed)
        return attention.write(attention.attend(place.rotate(q), place.rotate(k), v, place))
