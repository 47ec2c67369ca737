"""Runs in which parts of another run take the place of a run's own: activation patching, by the model's arithmetic.

Nothing is frozen: what follows a part that is replaced is computed anew, norms included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import Slot

_TOKENS = 4096
"""About how many tokens run together."""


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
        between = layer.after_attention(start, geometry)
        after = between
        if layer.mlp is not None:
            after = between + layer.mlp(start if model.graph.parallel else between)
        found.append(Stream(start, between, after))
        start = after
    return tuple(found)


@dataclass(frozen=True)
class Restoring:
    """Two runs on prompts of one length: parts of `source` take the place of those of `base`.

    What comes of it is the residual stream that the final norm reads at each row's scored position.
    """

    model: Model
    geometries: tuple[Geometry, ...]
    positions: Int[Tensor, " batch"]
    base: tuple[Stream, ...]
    source: tuple[Stream, ...]

    def residual(self, layer: int, where: Bool[Tensor, "site batch pos"]) -> Float[Tensor, "site batch d_model"]:
        """With the residual stream before a layer replaced, at the positions of each site."""
        base, source = self.base[layer].before, self.source[layer].before
        return self._at_sites(where, source - base, lambda at: self._onward(layer, _repeated(base, at) + at))

    def attention(self, layer: int, where: Bool[Tensor, "site batch pos"]) -> Float[Tensor, "site batch d_model"]:
        """With the output of a layer's attention replaced."""
        base, source = self.base[layer], self.source[layer]
        change = (source.between - source.before) - (base.between - base.before)
        return self._at_sites(where, change, lambda at: self._attended(layer, at))

    def mlp(self, layer: int, where: Bool[Tensor, "site batch pos"]) -> Float[Tensor, "site batch d_model"]:
        """With the output of a layer's MLP replaced."""
        base, source = self.base[layer], self.source[layer]
        change = (source.after - source.between) - (base.after - base.between)
        return self._at_sites(where, change, lambda at: self._onward(layer + 1, _repeated(base.after, at) + at))

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
        return self._in_chunks(len(change), change[0], lambda some: self._attended(layer, change[some].flatten(0, 1)))

    def _at_sites(
        self,
        where: Bool[Tensor, "site batch pos"],
        change: Float[Tensor, "batch pos d_model"],
        run: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "site batch d_model"]:
        """What the runs with a change at the positions of each site come to."""
        return self._in_chunks(len(where), change, lambda some: run((where[some].unsqueeze(-1) * change).flatten(0, 1)))

    def _in_chunks(
        self, sites: int, like: Float[Tensor, "batch pos d_model"], run: Callable[[slice], Tensor]
    ) -> Float[Tensor, "site batch d_model"]:
        at_once = max(1, _TOKENS // like[..., 0].numel())
        parts = [run(slice(start, start + at_once)) for start in range(0, sites, at_once)]
        return torch.cat(parts).view(sites, len(like), like.shape[-1])

    def _attended(self, layer: int, change: Float[Tensor, "row pos d_model"]) -> Float[Tensor, "row d_model"]:
        """The end of runs in which what a layer's attention adds is changed."""
        part = self.model.layers[layer]
        if part.mlp is None or self.model.graph.parallel:
            return self._onward(layer + 1, _repeated(self.base[layer].after, change) + change)
        between = _repeated(self.base[layer].between, change) + change
        return self._onward(layer + 1, between + part.mlp(between))

    def _onward(self, layer: int, residual: Float[Tensor, "row pos d_model"]) -> Float[Tensor, "row d_model"]:
        """The end of runs that have this residual stream before a layer."""
        for part, geometry in zip(self.model.layers[layer:], self.geometries[layer:], strict=True):
            between = part.after_attention(residual, geometry)
            mlp = part.mlp
            residual = between if mlp is None else between + mlp(residual if self.model.graph.parallel else between)
        rows = torch.arange(len(residual), device=residual.device)
        return residual[rows, self.positions.repeat(len(residual) // len(self.positions))]


def _repeated(
    run: Float[Tensor, "batch pos d_model"], rows: Float[Tensor, "row pos d_model"]
) -> Float[Tensor, "row pos d_model"]:
    """A run's rows again and again, one for each of these."""
    return run.repeat(len(rows) // len(run), 1, 1)
