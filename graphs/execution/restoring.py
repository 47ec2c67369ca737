"""Runs in which parts of another run take the place of a run's own: activation patching, by the model's arithmetic.

Nothing is frozen: what follows a part that is replaced is computed anew, norms included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.execution.branching import Branch, KnownRun
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import Slot

_Onward = Callable[[int, Float[Tensor, "run later d_model"]], tuple[int, Float[Tensor, "run later d_model"]]]
"""Before which layer a residual stream with the change of that number goes on, and what it is there."""


@dataclass(frozen=True)
class Stream:
    """The residual stream of a run at one layer: before it, after its attention, and after its MLP, if it has one."""

    before: Float[Tensor, "batch pos d_model"]
    between: Float[Tensor, "batch pos d_model"]
    after: Float[Tensor, "batch pos d_model"]

    def select(self, rows: Int[Tensor, " row"]) -> Stream:
        """That of other rows, or of the same in another order."""
        return Stream(self.before[rows], self.between[rows], self.after[rows])


def streams(
    model: Model, start: Float[Tensor, "batch pos d_model"], geometries: tuple[Geometry, ...]
) -> tuple[Stream, ...]:
    """The residual stream at every layer of a run from these embeddings."""
    found = []
    for layer, geometry in zip(model.layers, geometries, strict=True):
        between = layer.after_attention(start, layer.make(start, geometry)[0], geometry)
        after = _after_mlp(model, layer, start, between)
        found.append(Stream(start, between, after))
        start = after
    return tuple(found)


@dataclass(frozen=True)
class Restoring:
    """Two runs on prompts of one length: parts of `source` take the place of those of `base`.

    What comes of it is the residual stream that the final norm reads at each row's scored position. Of a causal model,
    positions before the first that is changed are not run again.
    """

    model: Model
    geometries: tuple[Geometry, ...]
    positions: Int[Tensor, " batch"]
    base: tuple[Stream, ...]
    source: tuple[Stream, ...]

    def residual(
        self, layers: Sequence[int], where: Bool[Tensor, "site batch pos"]
    ) -> Float[Tensor, "layer site batch d_model"]:
        """With the residual stream before each of these layers replaced, at the positions of each site."""
        return self._at_sites(
            [(self.source[layer].before - self.base[layer].before, self.base[layer].before) for layer in layers],
            where,
            lambda index, changed: (layers[index], changed),
        )

    def attention(
        self, layers: Sequence[int], where: Bool[Tensor, "site batch pos"]
    ) -> Float[Tensor, "layer site batch d_model"]:
        """With the output of each of these layers' attention replaced."""
        changes = [_attended(self.source[layer]) - _attended(self.base[layer]) for layer in layers]
        bases = [self._with_attention(layer) for layer in layers]
        return self._at_sites(
            list(zip(changes, bases, strict=True)),
            where,
            lambda index, changed: (layers[index] + 1, self._with_mlp(layers[index], changed)),
        )

    def mlp(
        self, layers: Sequence[int], where: Bool[Tensor, "site batch pos"]
    ) -> Float[Tensor, "layer site batch d_model"]:
        """With the output of each of these layers' MLPs replaced."""
        changes = [
            (self.source[layer].after - self.source[layer].between)
            - (self.base[layer].after - self.base[layer].between)
            for layer in layers
        ]
        return self._at_sites(
            [(change, self.base[layer].after) for change, layer in zip(changes, layers, strict=True)],
            where,
            lambda index, changed: (layers[index] + 1, changed),
        )

    def heads(self, layer: int, slot: Slot | None = None) -> Float[Tensor, "head batch d_model"]:
        """With the output of each head of a layer replaced, or only its queries, keys or values, at all positions."""
        part, geometry = self.model.layers[layer], self.geometries[layer]
        own, others = (part.make(run[layer].before, geometry)[0] for run in (self.base, self.source))
        mixed = others if slot is None else {**own, slot: others[slot]}
        wrote = part.heads(own["q"], own["k"], own["v"], geometry)
        change = part.heads(mixed["q"], mixed["k"], mixed["v"], geometry) - wrote
        post = part.attention.output.post_norm
        if post is not None:
            together = wrote.sum(0)
            change = post(together + change) - post(together)
        base = self._with_attention(layer)
        everywhere = torch.ones(1, *base.shape[:2], dtype=torch.bool, device=base.device)
        return self._at_sites(
            [(each, base) for each in change],
            everywhere,
            lambda index, changed: (layer + 1, self._with_mlp(layer, changed)),
        ).squeeze(1)

    def _at_sites(
        self,
        changes: Sequence[tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch pos d_model"]]],
        where: Bool[Tensor, "site batch pos"],
        onward: _Onward,
    ) -> Float[Tensor, "change site batch d_model"]:
        """The ends of runs with each of these changes of a residual stream at the positions of each site."""
        spans: list[tuple[int, int, int, int, Tensor]] = []
        for index, (change, _) in enumerate(changes):
            changed = where & change.ne(0).any(-1)
            first = torch.where(changed.any(-1), changed.int().argmax(-1), changed.shape[-1])
            for site, starts in enumerate(first):
                spans += [(start, end, index, site, rows) for start, end, rows in self._known.spans(starts)]
        spans.sort(key=lambda span: span[:3])

        def branches() -> Iterator[Branch]:
            for start, end, index, site, rows in spans:
                change, base = (x[rows, start:end] for x in changes[index])
                layer, residual = onward(index, base + where[site, rows, start:end].unsqueeze(-1) * change)
                yield Branch(layer, start, rows, residual)

        last = self.base[-1].after
        found = last[torch.arange(len(last), device=last.device), self.positions]
        found = found.repeat(len(changes), len(where), 1, 1)
        for (_, _, index, site, rows), final in zip(spans, self._known.finals(branches()), strict=True):
            found[index, site, rows] = final
        return found

    def _with_attention(self, layer: int) -> Float[Tensor, "batch pos d_model"]:
        """The base run's residual stream where the output of a layer's attention is still to act."""
        base, model = self.base[layer], self.model
        return base.after if model.graph.parallel or model.layers[layer].mlp is None else base.between

    def _with_mlp(self, layer: int, residual: Float[Tensor, "run later d_model"]) -> Float[Tensor, "run later d_model"]:
        """What that residual stream is after the layer."""
        mlp = self.model.layers[layer].mlp
        return residual if mlp is None or self.model.graph.parallel else residual + mlp(residual)

    @cached_property
    def _known(self) -> KnownRun:
        before = tuple(stream.before for stream in self.base)
        return KnownRun(self.model, self.geometries, self.positions, before)


def _attended(stream: Stream) -> Float[Tensor, "batch pos d_model"]:
    """What a layer's attention adds."""
    return stream.between - stream.before


def _after_mlp(
    model: Model,
    layer: Layer,
    before: Float[Tensor, "batch pos d_model"],
    between: Float[Tensor, "batch pos d_model"],
) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream with what a layer's MLP, if there is one, adds to it."""
    if layer.mlp is None:
        return between
    return between + layer.mlp(before if model.graph.parallel else between)
