"""One layer in the runs of a batch of prompts, at every position or at the scored ones only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.computation import LayerIndices, NodeIndices
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.parts import Scales
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import SLOTS, Slot


@dataclass(frozen=True)
class LayerRun:
    """A layer with what its arithmetic needs of the prompts, and where its nodes stand in the graph.

    `geometry` and `scales` are those of every position, and `scored_geometry` and `scored_scales` of the scored one
    of each prompt; the scales, of norms that span heads, are the clean run's and frozen.
    """

    layer: Layer
    indices: LayerIndices
    geometry: Geometry
    scored_geometry: Geometry
    scales: Scales
    scored_scales: Scales

    @property
    def device(self) -> torch.device:
        """Where activations are."""
        return self.geometry.allowed.device

    def project(
        self,
        slot: Slot,
        residual: Float[Tensor, "selected *batch pos d_model"],
        heads: Int[Tensor, " selected"] | None = None,
        *,
        all_positions: bool = True,
    ) -> Float[Tensor, "selected *batch pos d_head"]:
        """The queries, keys or values of these heads (None: all), each of what it reads in that slot."""
        geometry, scales = self._at(all_positions)
        return self.layer.project(slot, residual, geometry, scales, heads)

    def project_all(
        self, slot: Slot, residual: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "head batch pos d_head"]:
        """The same of all heads, which all read the same, at every position."""
        return self.layer.of_all(slot, residual, self.geometry, self.scales)

    def heads(
        self,
        q: Float[Tensor, "selected *#batch query d_head"],
        k: Float[Tensor, "selected *#batch key d_head"],
        v: Float[Tensor, "selected *#batch key d_head"],
        heads: Int[Tensor, " selected"] | None = None,
        *,
        all_positions: bool = True,
    ) -> Float[Tensor, "selected *batch query d_model"]:
        """What these heads write, to queries at every position or at the scored ones."""
        geometry, scales = self._at(all_positions)
        wrote = self.layer.heads(q, k, v, geometry, heads)
        return wrote if scales.heads is None else wrote * scales.heads

    def mlp(
        self, residual: Float[Tensor, "*batch d_model"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "*batch d_model"]:
        """What the layer's MLP, which there must be, writes."""
        assert self.layer.mlp is not None
        return self.layer.mlp(residual, rules)

    def node_parts(
        self, node: NodeIndices, read: Float[Tensor, "input *batch d_model"], chosen: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """What chosen parts of a node without slots write, by number, given what they read: each its own, or the node.

        A node that is not split is its only part.
        """
        if node.apart:
            return self.layer.mlp_apart(read, chosen)
        wrote = self.layer.node_parts(node.kind, read[0])
        return wrote if len(wrote) == len(chosen) else wrote[chosen]

    def gather(
        self,
        q: Float[Tensor, "selected *#batch query d_head"],
        k: Float[Tensor, "selected *#batch key d_head"],
        v: Float[Tensor, "selected *#batch key d_head"],
        heads: Int[Tensor, " selected"] | None = None,
        *,
        all_positions: bool = True,
    ) -> Float[Tensor, "selected *batch query d_head"]:
        """The values that these heads gather, from which `attention_parts` makes what all of them write together."""
        return self.layer.attention.attend(q, k, v, self._at(all_positions)[0], heads)

    def attention_parts(
        self, gathered: Float[Tensor, "head *batch query d_head"], *, all_positions: bool = True
    ) -> Float[Tensor, "part *batch query d_model"]:
        """What the parts of the layer's attention, which must be split, write."""
        assert self.layer.attended is not None
        return self.layer.attended(self.layer.attention, gathered, self._at(all_positions)[1].heads)

    def attention(
        self,
        q: Float[Tensor, "head *#batch query d_head"],
        k: Float[Tensor, "head *#batch key d_head"],
        v: Float[Tensor, "head *#batch key d_head"],
        *,
        all_positions: bool = True,
    ) -> Float[Tensor, "sender *batch query d_model"]:
        """What every sender of attention writes, given the queries, keys and values of all heads."""
        if not self.indices.as_one:
            return self.heads(q, k, v, all_positions=all_positions)
        return self.attention_parts(self.gather(q, k, v, all_positions=all_positions), all_positions=all_positions)

    def _at(self, all_positions: bool) -> tuple[Geometry, Scales]:
        return (self.geometry, self.scales) if all_positions else (self.scored_geometry, self.scored_scales)


def read_alike(*, all_positions: bool) -> tuple[tuple[tuple[Slot, ...], bool], ...]:
    """The slots of heads that read the same positions, and whether all; keys and values always read all of them."""
    return ((SLOTS, True),) if all_positions else ((("q",), False), (("k", "v"), True))


def layer_runs(
    model: Model,
    geometries: Sequence[Geometry],
    positions: Int[Tensor, " prompt"],
    scales: Sequence[Scales],
    scored: Callable[[Tensor], Tensor],
) -> tuple[LayerRun, ...]:
    """Every layer of a model on prompts scored at these positions, where `scored` takes the scales there."""
    parts = zip(model.layers, model.graph.layers, geometries, scales, strict=True)
    return tuple(
        LayerRun(layer, indices, geometry, geometry.at(positions), each, each.map(scored))
        for layer, indices, geometry, each in parts
    )
