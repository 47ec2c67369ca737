"""Runs in which parts of another run take the place of a run's own: activation patching, by the model's arithmetic.

Nothing is frozen: what follows a part that is replaced is computed anew, norms included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import Slot

_TOKENS = 4096
"""About how many tokens run together."""

_Run = Callable[[Float[Tensor, "site batch later d_model"]], Float[Tensor, "site batch d_model"]]


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

    def residual(self, layer: int, where: Bool[Tensor, "site batch pos"]) -> Float[Tensor, "site batch d_model"]:
        """With the residual stream before a layer replaced, at the positions of each site."""
        base, source = self.base[layer].before, self.source[layer].before
        return self._at_sites(where, source - base, base, lambda changed: self._onward(layer, changed))

    def attention(self, layer: int, where: Bool[Tensor, "site batch pos"]) -> Float[Tensor, "site batch d_model"]:
        """With the output of a layer's attention replaced."""
        base, source = self.base[layer], self.source[layer]
        change = (source.between - source.before) - (base.between - base.before)
        return self._at_sites(where, change, self._attended(layer), lambda changed: self._go_on(layer, changed))

    def mlp(self, layer: int, where: Bool[Tensor, "site batch pos"]) -> Float[Tensor, "site batch d_model"]:
        """With the output of a layer's MLP replaced."""
        base, source = self.base[layer], self.source[layer]
        change = (source.after - source.between) - (base.after - base.between)
        return self._at_sites(where, change, base.after, lambda changed: self._onward(layer + 1, changed))

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
        return self._with_changes(change, self._attended(layer), lambda changed: self._go_on(layer, changed))

    def _at_sites(
        self,
        where: Bool[Tensor, "site batch pos"],
        change: Float[Tensor, "batch pos d_model"],
        base: Float[Tensor, "batch pos d_model"],
        run: _Run,
    ) -> Float[Tensor, "site batch d_model"]:
        """The ends of runs with a change at the positions of each site, which start at different ones."""
        return torch.cat([self._with_changes((site.unsqueeze(-1) * change)[None], base, run) for site in where])

    def _with_changes(
        self, changes: Float[Tensor, "site batch pos d_model"], base: Float[Tensor, "batch pos d_model"], run: _Run
    ) -> Float[Tensor, "site batch d_model"]:
        """The ends of runs in which the residual stream is changed, from the first position at which one is."""
        changed = changes.ne(0).any(-1).flatten(0, 1).any(0).nonzero()
        first = min(int(changed[0]) if len(changed) else base.shape[1], int(self.positions.min()))
        start = first if self.model.is_causal else 0
        at_once = max(1, _TOKENS // base[:, start:, 0].numel())
        return torch.cat([run((base + some)[..., start:, :]) for some in torch.split(changes, at_once)])

    def _attended(self, layer: int) -> Float[Tensor, "batch pos d_model"]:
        """The base run's residual stream where the output of a layer's attention is still to act."""
        base, model = self.base[layer], self.model
        return base.after if model.graph.parallel or model.layers[layer].mlp is None else base.between

    def _go_on(
        self, layer: int, residual: Float[Tensor, "site batch later d_model"]
    ) -> Float[Tensor, "site batch d_model"]:
        """The ends of runs that have this residual stream there."""
        mlp = self.model.layers[layer].mlp
        if mlp is None or self.model.graph.parallel:
            return self._onward(layer + 1, residual)
        if layer + 1 == len(self.model.layers):
            residual = self._scored(residual)
        return self._onward(layer + 1, residual + mlp(residual))

    def _onward(
        self, layer: int, residual: Float[Tensor, "site batch later d_model"]
    ) -> Float[Tensor, "site batch d_model"]:
        """The ends of runs that have this residual stream before a layer, at these positions and all that follow."""
        sites, start = len(residual), self.base[0].before.shape[1] - residual.shape[2]
        for number in range(layer, len(self.model.layers)):
            part, geometry = self.model.layers[number], self.geometries[number].since(start)
            flat = residual.flatten(0, 1)
            made = part.make(flat, geometry, ("k", "v"))[0]
            if start:
                earlier = {slot: x[..., :start, :].repeat(1, sites, 1, 1) for slot, x in self._read(number).items()}
                made = {slot: torch.cat((earlier[slot], x), dim=2) for slot, x in made.items()}
            if number + 1 == len(self.model.layers):
                flat = self._scored(residual).flatten(0, 1)
                geometry = self.geometries[number].at(self.positions.repeat(sites))
            made["q"] = part.make(flat, geometry, ("q",))[0]["q"]
            after = _after_mlp(self.model, part, flat, part.after_attention(flat, made, geometry))
            residual = after.view(sites, -1, *after.shape[1:])
        return self._scored(residual).squeeze(-2)

    def _read(self, layer: int) -> dict[Slot, Float[Tensor, "head batch pos d_head"]]:
        """The keys and values of the base run."""
        if layer not in self._known:
            before, geometry = self.base[layer].before, self.geometries[layer]
            self._known[layer] = self.model.layers[layer].make(before, geometry, ("k", "v"))[0]
        return self._known[layer]

    @cached_property
    def _known(self) -> dict[int, dict[Slot, Tensor]]:
        return {}

    def _scored(self, residual: Float[Tensor, "site batch later d_model"]) -> Float[Tensor, "site batch 1 d_model"]:
        """The residual stream at the scored positions, or itself where it is already there."""
        if residual.shape[2] == 1:
            return residual
        rows = torch.arange(len(self.positions), device=residual.device)
        start = self.base[0].before.shape[1] - residual.shape[2]
        return residual[:, rows, self.positions - start].unsqueeze(-2)


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
