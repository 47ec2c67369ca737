"""One layer in the runs of a batch of prompts, at every position or at the scored ones only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.computation import LayerIndices, NodeIndices
from acdc.graphs.execution.tokens import Tokens
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.parts import Scales
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import SLOTS, Slot


@dataclass(frozen=True)
class Place:
    """What a layer's arithmetic needs of some positions; scales, of norms that span heads, are the clean run's."""

    geometry: Geometry
    scales: Scales


@dataclass(frozen=True)
class Surroundings:
    """Where only some tokens are held, what their queries may read besides: the keys and values of whole prompts.

    Where others than these tokens stand, that is what they are in every circuit.
    """

    tokens: Tokens
    geometry: Geometry
    keys: Float[Tensor, "head batch pos d_head"]
    values: Float[Tensor, "head batch pos d_head"]

    def around(
        self,
        tokens: Float[Tensor, "selected *lead 1 token d_head"],
        whole: Float[Tensor, "head batch pos d_head"],
        heads: Int[Tensor, " selected"] | None,
    ) -> Float[Tensor, "selected *lead batch pos d_head"]:
        """What stands at the tokens of some heads (None: all), with what is around them of whole prompts."""
        whole = whole if heads is None else whole[heads]
        return self.tokens.put(tokens, whole.view(len(whole), *[1] * (tokens.ndim - 4), *whole.shape[1:]))

    def select(self, prompts: Int[Tensor, " some"], end: int, tokens: Tokens) -> Surroundings:
        """Those of some of the prompts, of which these tokens are held."""
        keys, values = (part[:, prompts, :end] for part in (self.keys, self.values))
        return Surroundings(tokens, self.geometry.first(end), keys, values)


@dataclass(frozen=True)
class LayerRun:
    """A layer with what its arithmetic needs of the prompts, and where its nodes stand in the graph.

    `everywhere` is every position, or all tokens that are held, and `at_scored` the scored position of each prompt.
    """

    layer: Layer
    indices: LayerIndices
    everywhere: Place
    at_scored: Place
    surroundings: Surroundings | None = None

    @property
    def geometry(self) -> Geometry:
        """That of every position."""
        return self.everywhere.geometry

    @property
    def scales(self) -> Scales:
        """Those of every position."""
        return self.everywhere.scales

    @property
    def scored_geometry(self) -> Geometry:
        """That of the scored positions."""
        return self.at_scored.geometry

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
        place = self._at(all_positions)
        return self.layer.project(slot, residual, place.geometry, place.scales, heads)

    def finish(
        self, slot: Slot, made: Float[Tensor, "head *batch d_head"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "head *batch d_head"]:
        """The queries, keys or values of all heads at every position, of what the linear projection makes."""
        return self.layer.finish(slot, made, self.geometry, self.scales, rules=rules)

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
        return self.written(
            self.gather(q, k, v, heads, all_positions=all_positions), heads, all_positions=all_positions
        )

    def written(
        self,
        gathered: Float[Tensor, "selected *batch query d_head"],
        heads: Int[Tensor, " selected"] | None = None,
        *,
        all_positions: bool = True,
    ) -> Float[Tensor, "selected *batch query d_model"]:
        """What these heads write of the values that they gather; of a difference of these the difference."""
        scales = self._at(all_positions).scales
        wrote = self.layer.attention.write(gathered, heads)
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
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "selected *batch query d_head"]:
        """The values that these heads gather, from which `attention_parts` makes what all of them write together."""
        attend, around = self.layer.attention.attend, self.surroundings
        if around is None:
            return attend(q, k, v, self._at(all_positions).geometry, heads, rules)
        k, v = around.around(k, around.keys, heads), around.around(v, around.values, heads)
        if not all_positions:
            return attend(q, k, v, self.scored_geometry, heads, rules)
        q = around.around(q, torch.zeros_like(around.keys[:1]).expand_as(around.keys), heads)
        return around.tokens.take(attend(q, k, v, around.geometry, heads, rules))

    def attention_parts(
        self, gathered: Float[Tensor, "head *batch query d_head"], *, all_positions: bool = True
    ) -> Float[Tensor, "part *batch query d_model"]:
        """What the parts of the layer's attention, which must be split, write."""
        assert self.layer.attended is not None
        return self.layer.attended(self.layer.attention, gathered, self._at(all_positions).scales.heads)

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

    def _at(self, all_positions: bool) -> Place:
        return self.everywhere if all_positions else self.at_scored


def read_alike(*, all_positions: bool) -> tuple[tuple[tuple[Slot, ...], bool], ...]:
    """The slots of heads that read the same positions, and whether all; keys and values always read all of them."""
    return ((SLOTS, True),) if all_positions else ((("q",), False), (("k", "v"), True))


def layer_runs(
    model: Model,
    geometries: Sequence[Geometry],
    positions: Int[Tensor, " prompt"],
    scales: Sequence[Scales],
    scored: Callable[[Tensor], Tensor],
    surroundings: Sequence[Surroundings] = (),
) -> tuple[LayerRun, ...]:
    """Every layer of a model on prompts scored at these positions, where `scored` takes the scales there.

    With `surroundings` of every layer, only their tokens are held, and scales are those of these.
    """
    every: Sequence[Surroundings | None] = surroundings or [None] * len(scales)
    parts = zip(model.layers, model.graph.layers, geometries, scales, every, strict=True)
    return tuple(
        LayerRun(
            layer,
            indices,
            Place(geometry if around is None else geometry.of(around.tokens.position), each),
            Place(geometry.at(positions), each.map(scored)),
            around,
        )
        for layer, indices, geometry, each, around in parts
    )
