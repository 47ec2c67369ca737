"""Runs in which parts of another run take the place of a run's own: activation patching, by the model's arithmetic.

Nothing is frozen: what follows a part that is replaced is computed anew, norms included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.execution.branching import Branch, KnownRun
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import Slot

_Onward = Callable[[Float[Tensor, "run later d_model"]], Float[Tensor, "run later d_model"]]
_TOKENS = 1024
"""About how many tokens with changes in one layer go on from it together."""


@dataclass(frozen=True)
class _StreamChange:
    """What is added to a run's residual stream `base` in or before a layer; it goes on `before` a layer.

    `onward` makes of the stream with the change what it is there.
    """

    delta: Float[Tensor, "batch pos d_model"]
    base: Float[Tensor, "batch pos d_model"]
    before: int
    onward: _Onward


@dataclass(frozen=True)
class _Span:
    """That a change, by number, at a site changes these rows of a run from one position to another."""

    start: int
    end: int
    change: int
    site: int
    rows: Int[Tensor, " some"]

    @property
    def tokens(self) -> int:
        """How many are run."""
        return len(self.rows) * (self.end - self.start)


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
        self,
        layers: Sequence[int],
        where: Bool[Tensor, "site batch pos"],
        chosen: Bool[Tensor, "layer site"] | None = None,
    ) -> Float[Tensor, "layer site batch d_model"]:
        """With the residual stream before each of these layers replaced, at the positions of each site.

        Here and below, where a site of a layer is not `chosen` (None: all are) nothing is replaced.
        """
        changes = [
            _StreamChange(self.source[layer].before - base.before, base.before, layer, _as_it_is)
            for layer, base in self._bases(layers)
        ]
        return self._at_sites(changes, where, chosen)

    def attention(
        self,
        layers: Sequence[int],
        where: Bool[Tensor, "site batch pos"],
        chosen: Bool[Tensor, "layer site"] | None = None,
    ) -> Float[Tensor, "layer site batch d_model"]:
        """With the output of each of these layers' attention replaced."""
        changes = [
            self._attending(layer, _attended(self.source[layer]) - _attended(self.base[layer])) for layer in layers
        ]
        return self._at_sites(changes, where, chosen)

    def mlp(
        self,
        layers: Sequence[int],
        where: Bool[Tensor, "site batch pos"],
        chosen: Bool[Tensor, "layer site"] | None = None,
    ) -> Float[Tensor, "layer site batch d_model"]:
        """With the output of each of these layers' MLPs replaced."""
        changes = []
        for layer, base in self._bases(layers):
            source = self.source[layer]
            delta = (source.after - source.between) - (base.after - base.between)
            changes.append(_StreamChange(delta, base.after, layer + 1, _as_it_is))
        return self._at_sites(changes, where, chosen)

    def heads(
        self, layers: Sequence[int], slot: Slot | None = None, chosen: Bool[Tensor, "layer head"] | None = None
    ) -> Float[Tensor, "layer head batch d_model"]:
        """With the output of each head of these layers replaced, or only its queries, keys or values, everywhere."""
        heads, before = self.model.graph.n_heads, self.base[0].before
        changes = [self._attending(layer, one) for layer in layers for one in self._of_heads(layer, slot)]
        everywhere = torch.ones(1, *before.shape[:2], dtype=torch.bool, device=before.device)
        found = self._at_sites(changes, everywhere, None if chosen is None else chosen.reshape(-1, 1))
        return found.view(len(layers), heads, *found.shape[2:])

    def _of_heads(self, layer: int, slot: Slot | None) -> Float[Tensor, "head batch pos d_model"]:
        """What replacing the output of each head, or one slot of it, adds to what the heads write."""
        part, geometry = self.model.layers[layer], self.geometries[layer]
        own, others = (part.make(run[layer].before, geometry)[0] for run in (self.base, self.source))
        mixed = others if slot is None else {**own, slot: others[slot]}
        wrote = part.heads(own["q"], own["k"], own["v"], geometry)
        change = part.heads(mixed["q"], mixed["k"], mixed["v"], geometry) - wrote
        post = part.attention.output.post_norm
        if post is None:
            return change
        together = wrote.sum(0)
        return post(together + change) - post(together)

    def _bases(self, layers: Sequence[int]) -> Iterator[tuple[int, Stream]]:
        return ((layer, self.base[layer]) for layer in layers)

    def _attending(self, layer: int, delta: Float[Tensor, "batch pos d_model"]) -> _StreamChange:
        """A change of what a layer's attention writes."""
        return _StreamChange(delta, self._with_attention(layer), layer + 1, partial(self._with_mlp, layer))

    def _at_sites(
        self,
        changes: Sequence[_StreamChange],
        where: Bool[Tensor, "site batch pos"],
        chosen: Bool[Tensor, "change site"] | None,
    ) -> Float[Tensor, "change site batch d_model"]:
        """The ends of runs with each of these changes of a residual stream at the positions of each site."""
        spans = sorted(self._spans(changes, where, chosen), key=lambda one: (one.start, one.end, one.change))
        last = self.base[-1].after
        found = last[torch.arange(len(last), device=last.device), self.positions]
        found = found.repeat(len(changes), len(where), 1, 1)
        groups = list(_together(spans, changes))
        branches = (_branch(changes, group, where) for group in groups)
        for group, finals in zip(groups, self._known.finals(branches), strict=True):
            parts = torch.split(finals, [len(span.rows) for span in group])
            for span, final in zip(group, parts, strict=True):
                found[span.change, span.site, span.rows] = final
        return found

    def _spans(
        self,
        changes: Sequence[_StreamChange],
        where: Bool[Tensor, "site batch pos"],
        chosen: Bool[Tensor, "change site"] | None,
    ) -> Iterator[_Span]:
        """Which rows are to be run, and from where to where."""
        for index, change in enumerate(changes):
            changed = where & change.delta.ne(0).any(-1)
            first = torch.where(changed.any(-1), changed.int().argmax(-1), changed.shape[-1])
            for site, starts in enumerate(first):
                if chosen is None or chosen[index, site]:
                    yield from (_Span(start, end, index, site, rows) for start, end, rows in self._known.spans(starts))

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


def _as_it_is(residual: Float[Tensor, "run later d_model"]) -> Float[Tensor, "run later d_model"]:
    return residual


def _together(spans: Sequence[_Span], changes: Sequence[_StreamChange]) -> Iterator[list[_Span]]:
    """Neighbours that go on from the same layer and position, as one branch each."""
    group: list[_Span] = []
    for span in spans:
        change, first = changes[span.change], group[0] if group else None
        alike = first is not None and (span.start, span.end) == (first.start, first.end)
        alike = alike and first is not None and changes[first.change].before == change.before
        if group and not (alike and sum(one.tokens for one in group) < _TOKENS):
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _branch(changes: Sequence[_StreamChange], group: Sequence[_Span], where: Bool[Tensor, "site batch pos"]) -> Branch:
    """The runs of spans that go on from the same layer and position."""
    change, start, end = changes[group[0].change], group[0].start, group[0].end
    parts = []
    for span in group:
        delta, base = (x[span.rows, start:end] for x in (changes[span.change].delta, changes[span.change].base))
        parts.append(base + where[span.site, span.rows, start:end].unsqueeze(-1) * delta)
    return Branch(change.before, start, torch.cat([span.rows for span in group]), change.onward(torch.cat(parts)))


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
