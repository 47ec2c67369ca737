"""One layer of a transformer: the one way from what its attention and its MLP read to what they write."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model.parts import Attention, Mlp, Positional, Projection
from acdc.graphs.nodes import SLOTS, Slot


@dataclass(frozen=True)
class Layer:
    """One layer; `mlp` is None in attention-only models.

    What concerns heads has them as the first axis: those chosen by number, or all (None).
    """

    attention: Attention
    mlp: Mlp | None

    def normed(self, residual: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "head batch pos d_model"]:
        """What all heads read that read the same residual stream, normed once."""
        return self.attention.norm(residual).expand(len(self.attention.output), *residual.shape)

    def project(
        self,
        slot: Slot,
        normed: Float[Tensor, "selected *batch pos d_model"],
        positional: Positional,
        heads: Int[Tensor, " selected"] | None = None,
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """The queries, keys or values of heads, each of its own input, which the attention's norm has normed."""
        return self.finish(slot, self.projection(slot).linear(normed, heads), positional)

    def finish(
        self, slot: Slot, made: Float[Tensor, "selected *batch pos d_head"], positional: Positional
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """What `project` makes of the linear projection: normed, where queries and keys are, and rotated."""
        normed = self.projection(slot).norm(made)
        return normed if slot == "v" else positional.rotate(normed)

    def heads(
        self,
        q: Float[Tensor, "selected *#batch query d_head"],
        k: Float[Tensor, "selected *#batch key d_head"],
        v: Float[Tensor, "selected *#batch key d_head"],
        positional: Positional,
        heads: Int[Tensor, " selected"] | None = None,
    ) -> Float[Tensor, "selected *batch query d_model"]:
        """What heads with these queries, keys and values write, before any post norm; `positional` is the queries'."""
        return self.attention.write(self.attention.attend(q, k, v, positional), heads)

    def attend(
        self, residual: Float[Tensor, "batch pos d_model"], positional: Positional
    ) -> Float[Tensor, "head batch pos d_model"]:
        """What each head writes when all of them read the same residual stream, before any post norm."""
        normed = self.normed(residual)
        q, k, v = (self.project(slot, normed, positional) for slot in SLOTS)
        return self.heads(q, k, v, positional)

    def pull_back(
        self,
        slot: Slot,
        residual: Float[Tensor, "*batch d_model"],
        gradient: Float[Tensor, "head *batch d_head"],
    ) -> Float[Tensor, "head *batch d_model"]:
        """The gradient at the residual stream that all heads read, given that at the linear projection of a slot."""
        return self.attention.norm.pull_back(residual, self.projection(slot).pull_back(gradient))

    def projection(self, slot: Slot) -> Projection:
        """That of the slot."""
        match slot:
            case "q":
                return self.attention.query
            case "k":
                return self.attention.key
            case "v":
                return self.attention.value
