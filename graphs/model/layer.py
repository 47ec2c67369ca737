"""One layer of a transformer: the one way from what its attention and its MLP read to what they write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.distinct import distinct
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.mlp import Mlp
from acdc.graphs.model.mlp_parts import AbstractMlpParts
from acdc.graphs.model.parts import Attention, Projection, Scales
from acdc.graphs.model.placement import moved
from acdc.graphs.model.stream_parts import AbstractAttentionParts, AbstractStreamParts
from acdc.graphs.nodes import SLOTS, Slot, SplitKind


@dataclass(frozen=True)
class Layer:
    """One layer; `mlp` is None in attention-only models, and `parts` where the MLP is one sender.

    `attended` splits what the heads write together (None: each is a sender), and `streams` the residual stream after
    attention or after the layer. What concerns heads has them as the first axis: those chosen by number, or all (None).
    """

    attention: Attention
    mlp: Mlp | None
    parts: AbstractMlpParts | None = None
    attended: AbstractAttentionParts | None = None
    streams: Mapping[SplitKind, AbstractStreamParts] = field(default_factory=dict, hash=False)

    def mlp_parts(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "part *batch d_model"]:
        """What the parts of the MLP, which there must be, write: itself where it is not split."""
        assert self.mlp is not None
        return self.mlp(residual)[None] if self.parts is None else self.parts(self.mlp, residual)

    def mlp_apart(
        self,
        residuals: Float[Tensor, "input *batch d_model"],
        parts: Int[Tensor, " chosen"],
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """What chosen parts of the MLP write, by number, each of a residual stream of its own, or all of the same one.

        Those that read the same share what is made of it, unless each is to have a gradient of its own.
        """
        assert self.mlp is not None
        assert self.parts is not None
        inputs = torch.arange(len(residuals), device=residuals.device).expand(len(parts))
        if not residuals.requires_grad:
            residuals, inputs = distinct(residuals)
            inputs = inputs.expand(len(parts))
        return self.parts.apart(self.mlp, residuals, parts, inputs, rules)

    def after_mlp(
        self, residual: Float[Tensor, "*batch d_model"], wrote: Float[Tensor, "part *#batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """The residual stream with what the parts of the MLP add to it, and what no part does."""
        together = residual + (wrote[0] if len(wrote) == 1 else wrote.sum(0))
        return together if self.parts is None or self.parts.bias is None else together + self.parts.bias

    def node_parts(
        self, kind: SplitKind, residual: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "part *batch d_model"]:
        """What the parts of a node with one input write, which there must be: the MLP, or a stream that is split."""
        return self.mlp_parts(residual) if kind == "mlp" else self.streams[kind](residual)

    def after_node(
        self, kind: SplitKind, residual: Float[Tensor, "*batch d_model"], wrote: Float[Tensor, "part *#batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """The residual stream after it: of a stream that is split, nothing but the sum of its parts."""
        return self.after_mlp(residual, wrote) if kind == "mlp" else wrote.sum(0).expand(residual.shape)

    @property
    def device(self) -> torch.device:
        """Where its matrices are."""
        return self.attention.output.weight.device

    def beside(self, home: torch.device) -> Layer:
        """The same layer with all that is no matrix, such as norms, on the device of the activations."""
        if home == self.device:
            return self
        attention, mlp = moved(self.attention, home, but=("weight",)), self.mlp
        attention = replace(
            attention,
            norm=moved(attention.norm, home),
            query=replace(attention.query, norm=moved(attention.query.norm, home)),
            key=replace(attention.key, norm=moved(attention.key.norm, home)),
            output=replace(attention.output, post_norm=moved(attention.output.post_norm, home)),
        )
        if mlp is not None:
            mlp = replace(mlp, norm=moved(mlp.norm, home), post_norm=moved(mlp.post_norm, home))
        return Layer(attention, mlp)

    def project(
        self,
        slot: Slot,
        residual: Float[Tensor, "selected *batch pos d_model"],
        geometry: Geometry,
        scales: Scales,
        heads: Int[Tensor, " selected"] | None = None,
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """The queries, keys or values of heads, each of what it reads in that slot."""
        made = self.projection(slot).of_normed(self.attention.norm, residual, heads)
        return self.finish(slot, made, geometry, scales, heads)

    def of_all(
        self, slot: Slot, residual: Float[Tensor, "*batch pos d_model"], geometry: Geometry, scales: Scales
    ) -> Float[Tensor, "head *batch pos d_head"]:
        """The same of all heads, which all read the same."""
        return self.finish(slot, self.projection(slot).of_all(self.attention.norm(residual)), geometry, scales)

    def finish(
        self,
        slot: Slot,
        made: Float[Tensor, "selected *batch pos d_head"],
        geometry: Geometry,
        scales: Scales,
        heads: Int[Tensor, " selected"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """What `project` makes of the linear projection: normed, where queries and keys are, and rotated."""
        scale = {"q": scales.query, "k": scales.key, "v": None}[slot]
        finished = self.projection(slot).finish(made, heads, scale, rules)
        return finished if slot == "v" else geometry.rotate(finished)

    def heads(
        self,
        q: Float[Tensor, "selected *#batch query d_head"],
        k: Float[Tensor, "selected *#batch key d_head"],
        v: Float[Tensor, "selected *#batch key d_head"],
        geometry: Geometry,
        heads: Int[Tensor, " selected"] | None = None,
    ) -> Float[Tensor, "selected *batch query d_model"]:
        """What heads with these queries, keys and values write, before any post norm; `geometry` is the queries'."""
        return self.attention.write(self.attention.attend(q, k, v, geometry, heads), heads)

    def attend(
        self, residual: Float[Tensor, "batch pos d_model"], geometry: Geometry
    ) -> tuple[Float[Tensor, "head batch pos d_model"], Scales]:
        """What each head writes when all of them read the same residual stream, before any post norm; and the scales of
        norms that span heads inside.
        """
        made, inside = self.make(residual, geometry)
        return self.heads(made["q"], made["k"], made["v"], geometry), inside

    def attention_senders(
        self, residual: Float[Tensor, "batch pos d_model"], geometry: Geometry
    ) -> tuple[Float[Tensor, "sender batch pos d_model"], Scales]:
        """What each sender of attention writes, any post norm included, when all heads read the same; and all scales of
        norms that span heads.
        """
        output = self.attention.output
        if self.attended is None:
            heads, inside = self.attend(residual, geometry)
            scale = None if output.post_norm is None else output.post_norm.scale(heads.sum(0))
            wrote = heads if scale is None else heads * scale
        else:
            made, inside = self.make(residual, geometry)
            gathered = self.attention.attend(made["q"], made["k"], made["v"], geometry)
            scale = None if output.post_norm is None else output.post_norm.scale(output.together(gathered))
            wrote = self.attended(self.attention, gathered, scale)
        return wrote, replace(inside, heads=scale)

    def make(
        self, residual: Float[Tensor, "batch pos d_model"], geometry: Geometry, slots: Sequence[Slot] = SLOTS
    ) -> tuple[dict[Slot, Float[Tensor, "head batch pos d_head"]], Scales]:
        """The queries, keys, values, or some of them, of all heads that read the same; and those scales."""
        attention, normed = self.attention, self.attention.norm(residual)
        made = {slot: self.projection(slot).of_all(normed) for slot in slots}
        query = attention.query.norm.scale(made["q"]) if "q" in made else None
        key = attention.key.norm.scale(made["k"]) if "k" in made else None
        inside = Scales(None, query, key)
        return {slot: self.finish(slot, made[slot], geometry, inside) for slot in slots}, inside

    def after_attention(
        self,
        residual: Float[Tensor, "batch query d_model"],
        made: Mapping[Slot, Float[Tensor, "head batch _ d_head"]],
        geometry: Geometry,
    ) -> Float[Tensor, "batch query d_model"]:
        """The residual stream with what heads of these queries, keys and values add to it, all of them together."""
        gathered = self.attention.attend(made["q"], made["k"], made["v"], geometry)
        output = self.attention.output
        wrote = output.together(gathered)
        wrote = wrote if output.post_norm is None else output.post_norm(wrote)
        return residual + wrote + output.bias

    def projection(self, slot: Slot) -> Projection:
        """That of the slot."""
        match slot:
            case "q":
                return self.attention.query
            case "k":
                return self.attention.key
            case "v":
                return self.attention.value
