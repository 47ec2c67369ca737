"""A loaded model: its computational graph, the functional parts of every layer, and its tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph, Split
from acdc.graphs.errors import BadTokens
from acdc.graphs.model.geometry import Geometry, geometries_of, turned_layers
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.mlp_parts import AbstractMlpParts
from acdc.graphs.model.parts import Scales
from acdc.graphs.model.stream_parts import AbstractAttentionParts, AbstractStreamParts
from acdc.graphs.model.unchanged import ChangeWatch
from acdc.graphs.model.unembedding import Unembedding
from acdc.graphs.nodes import SplitKind

_FIXED_ROTATIONS = {"default", "linear", "yarn", "llama3", "proportional"}
"""Rotary embeddings, as transformers names them, whose frequencies do not depend on the length of the prompt."""


@dataclass(frozen=True)
class Identity:
    """Which weights these are: the directory or hub name they came from, and the hub revision, if one was given.

    `n_context` is the most tokens the model reads, None where there is no limit. `quantisation` is how the weights had
    been quantised before they were dequantised (`Q4_1`), None where they never were.
    """

    name: str
    revision: str | None = None
    n_context: int | None = None
    quantisation: str | None = None


@dataclass(frozen=True)
class Trace:
    """What every sender writes in one run, and each layer's scales where norms span heads."""

    outputs: Float[Tensor, "sender batch pos d_model"]
    scales: tuple[Scales, ...]


@dataclass(frozen=True)
class _RanLayer:
    """What the senders of one layer write in a run, node by node, its scales, and the residual stream after it."""

    wrote: tuple[Float[Tensor, "_ batch pos d_model"], ...]
    scales: Scales
    residual: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class Model:
    """A transformer as a computational graph with the arithmetic of each of its nodes.

    `bridge` is TransformerLens' own view of the same weights, for everything it already does; `tokenizer` is the
    checkpoint's own, or None when the model came without one.
    """

    identity: Identity
    graph: ComputationalGraph
    layers: tuple[Layer, ...]
    unembedding: Unembedding
    bridge: Any
    tokenizer: Any

    def __repr__(self) -> str:
        precision = str(self.dtype).removeprefix("torch.")
        return f"<Model {self.identity.name}: {self.graph.describe()}, width {self.graph.d_model}, {precision}>"

    def by_position(self, spans: tuple[str, ...]) -> Model:
        """The same weights, in whose graph every input is a receiver once for each of these spans (none: once)."""
        if spans == self.graph.spans:
            return self
        return self._with(self.graph.with_spans(spans))

    def split(
        self,
        parts: Mapping[int, AbstractMlpParts],
        attended: Mapping[int, AbstractAttentionParts] | None = None,
        streams: Mapping[tuple[int, SplitKind], AbstractStreamParts] | None = None,
    ) -> Model:
        """The same weights, in whose graph the MLPs of these layers are as many senders as they have parts.

        So are what the attention of layers writes, `attended`, and `streams`: the residual stream after the attention
        of a layer (`resid_mid`) or after the layer (`resid_post`).

        Raises: ValueError when the graph has too many edges then, or nothing is there to be split.
        """
        attended, streams = attended or {}, streams or {}
        splits = [Split(layer, each.names) for layer, each in parts.items()]
        splits += [Split(layer, each.names, "attention") for layer, each in attended.items()]
        splits += [Split(layer, each.names, kind) for (layer, kind), each in streams.items()]
        graph = replace(self.graph, splits=tuple(sorted(splits, key=lambda split: split.place)))
        layers = tuple(
            replace(
                layer,
                parts=parts.get(number),
                attended=attended.get(number),
                streams={kind: each for (other, kind), each in streams.items() if other == number},
            )
            for number, layer in enumerate(self.layers)
        )
        return self._with(graph, layers)

    def parts_reading(self, parts_read: bool) -> Model:
        """The same weights, in whose graph each part of a split MLP reads for itself, or its MLP as a whole.

        Raises: ValueError when the graph has too many edges then, or parts are to read and nothing is split.
        """
        if parts_read == self.graph.parts_read:
            return self
        return self._with(replace(self.graph, parts_read=parts_read))

    def _with(self, graph: ComputationalGraph, layers: tuple[Layer, ...] | None = None) -> Model:
        """The same weights in another graph: what is known of them is the same, and when they changed last."""
        other = replace(self, graph=graph, layers=layers or self.layers)
        other.__dict__.update(_watch=self._watch, _turned=self._turned, _geometries=self._geometries)
        return other

    @property
    def device(self) -> torch.device:
        """Where everything is but the matrices of layers, which may be on other `devices`."""
        return self.unembedding.weight.device

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices that hold weights, the one of activations first."""
        return tuple(dict.fromkeys((self.device, *(layer.device for layer in self.layers))))

    @property
    def dtype(self) -> torch.dtype:
        """The weights' precision, which is also that of the arithmetic."""
        return self.unembedding.weight.dtype

    @property
    def is_causal(self) -> bool:
        """Whether no position reads a later one."""
        return bool(getattr(self.bridge.cfg, "attention_dir", "causal") == "causal")

    @property
    def vocabulary(self) -> int:
        """How many tokens the model reads; it may tell fewer apart, or more."""
        return int(self.bridge.embed.original_component.weight.shape[0])

    @cached_property
    def _watch(self) -> ChangeWatch:
        return ChangeWatch(self.bridge, self.layers, self.unembedding)

    def check_unchanged(self) -> int:
        """How often the weights were edited in place since loading, which is allowed where bridge and parts share them.

        Raises: ModelChanged when the bridge is no longer what was loaded: by dropout, a hook, or other weights.
        """
        self._watch.check()
        return self._watch.edits

    def check(self, tokens: Int[Tensor, "batch pos"]) -> None:
        """Refuse tokens the model cannot read.

        Raises: BadTokens when they are too long, out of the vocabulary, or none; ModelChanged.
        """
        self.check_unchanged()
        vocabulary = self.vocabulary
        if tokens.numel() == 0:
            raise BadTokens("the prompts are empty; give at least one prompt of at least one token")
        lowest, highest = int(tokens.min()), int(tokens.max())
        if lowest < 0 or highest >= vocabulary:
            raise BadTokens(
                f"token {lowest if lowest < 0 else highest} is not in the model's vocabulary of {vocabulary}; "
                "use the model's own tokenizer"
            )
        limit = self.identity.n_context
        if limit is not None and tokens.shape[1] > limit:
            raise BadTokens(f"a prompt has {tokens.shape[1]} tokens but the model reads at most {limit}; shorten it")

    def embed(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """What the `input` node writes: the model's own residual stream before its first layer.

        Raises: ModelChanged.
        """
        self.check_unchanged()
        with torch.no_grad():
            residual: Tensor = self.bridge(tokens, stop_at_layer=0)
        return residual.to(self.dtype)

    @cached_property
    def ignores_padding(self) -> bool:
        """Whether tokens after a position change nothing there: nothing reads back, and rotations do not depend on how
        long the prompt is.
        """
        kinds: set[str] = set()
        for module in self.bridge.original_model.modules():
            kind = getattr(module, "rope_type", None)
            kinds.update(kind.values() if isinstance(kind, dict) else [] if kind is None else [kind])
        return self.is_causal and kinds <= _FIXED_ROTATIONS

    def geometries(self, length: int, end: int | None = None) -> tuple[Geometry, ...]:
        """Per layer, what each position of a sequence of that length may read, and its rotary embedding.

        With `end`, of the first positions only; a rotation may depend on the whole length. Asked of the model once for
        every length, and taken from what the model itself hands its attention layers, so that sliding windows, local
        and global frequencies and whatever comes next need no rule here.
        """
        if length not in self._geometries:
            self._geometries[length] = geometries_of(self.bridge, length, self.is_causal, self._turned)
        geometries = self._geometries[length]
        return geometries if end is None or end == length else tuple(geometry.first(end) for geometry in geometries)

    @cached_property
    def _turned(self) -> tuple[bool, ...]:
        return turned_layers(self.bridge)

    @cached_property
    def _geometries(self) -> dict[int, tuple[Geometry, ...]]:
        return {}

    def trace(self, start: Float[Tensor, "batch pos d_model"], geometries: tuple[Geometry, ...]) -> Trace:
        """One ordinary run from the embeddings, keeping what every sender writes."""
        outputs = start.new_empty(len(self.graph.senders), *start.shape)
        outputs[0] = start
        scales: list[Scales] = []
        for indices, ran in zip(self.graph.layers, self._run(start, geometries), strict=True):
            senders = (indices.heads, *(node.senders for node in indices.nodes))
            for some, wrote in zip(senders, ran.wrote, strict=True):
                outputs[some.start : some.stop] = wrote
            scales.append(ran.scales)
        return Trace(outputs, tuple(scales))

    def _run(
        self, residual: Float[Tensor, "batch pos d_model"], geometries: tuple[Geometry, ...]
    ) -> Iterator[_RanLayer]:
        """What one layer after the other writes, from the embeddings on."""
        for layer, indices, geometry in zip(self.layers, self.graph.layers, geometries, strict=True):
            before = residual
            senders, scales = layer.attention_senders(residual, geometry)
            residual, wrote = residual + senders.sum(0) + layer.attention.output.bias, [senders]
            for node in indices.nodes:
                reads = before if node.reads == indices.reads else residual
                wrote.append(layer.node_parts(node.kind, reads))
                residual = layer.after_node(node.kind, residual, wrote[-1])
            yield _RanLayer(tuple(wrote), scales, residual)

    def logits(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """The model's logits by our own arithmetic, at every position."""
        return self.unembedding(self.final(tokens))

    def final(self, tokens: Int[Tensor, "batch pos"], end: int | None = None) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream that the final norm reads, by our own arithmetic; of the first `end` positions only."""
        self.check(tokens)
        residual = self.embed(tokens[:, :end])
        for ran in self._run(residual, self.geometries(tokens.shape[1], residual.shape[1])):
            residual = ran.residual
        return residual

    def fingerprint(self, dtype: torch.dtype | None = None) -> str:
        """SHA-256 of all weights in that precision (None: their own), by name, whatever device they are on.

        Raises: ModelChanged.
        """
        self.check_unchanged()
        digest = hashlib.sha256()
        for name, weight in sorted(self.bridge.original_model.state_dict().items()):
            digest.update(name.encode())
            weight = weight.detach().to(dtype) if dtype and weight.is_floating_point() else weight.detach()
            flat = weight.contiguous().cpu().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
