"""One circuit on every pair of a clean and a corrupt prompt, what depends on one of the two run once for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from graphs.circuit import Circuit
from graphs.errors import BadTokens, DifferentGraphs
from graphs.liveness import Liveness, receivers_of
from graphs.model.transformer import Model

_TOKENS, _TOKENS_ON_GPU = 1 << 12, 1 << 16
"""How many positions of pairs run together: few enough for the processor's cache, and enough to keep it busy."""


@dataclass(frozen=True)
class Block:
    """The logits of some of the pairs: those of `corrupt` with those of `clean`, by number."""

    corrupt: slice
    clean: slice
    logits: Float[Tensor, "corrupt clean vocab"]


@dataclass(frozen=True)
class _Corrupt:
    """The runs of some corrupt prompts, axes as in `CrossedRun`.

    `residuals` is keyed by how many senders its reader reads. `floors` and `projected` are found when first asked for:
    what the missing edges of a receiver bring it, and the queries, keys or values of those that read nothing else.
    """

    outputs: Float[Tensor, "sender corrupt 1 pos d_model"]
    residuals: dict[int, Float[Tensor, "corrupt 1 pos d_model"]]
    floors: dict[int, Float[Tensor, "corrupt 1 _ d_model"]] = field(default_factory=dict)
    projected: dict[int, Float[Tensor, "1 corrupt 1 _ d_head"]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Clean:
    """What is known of some clean prompts, axes as in `CrossedRun`.

    `wrote` holds what live senders write that nothing of the corrupt prompt reaches, to which a block adds what the
    others write for its pairs; `scales` are the frozen head scales.
    """

    wrote: dict[int, Float[Tensor, "#corrupt clean _ d_model"]]
    scales: tuple[Float[Tensor, "clean pos d_model"] | None, ...]

    def select(self, some: slice) -> _Clean:
        """The same of some of the prompts."""
        wrote = {sender: value[:, some] for sender, value in self.wrote.items()}
        return _Clean(wrote, tuple(None if scale is None else scale[some] for scale in self.scales))


class CrossedRun:
    """A circuit of resample ablation on all pairs of these clean and corrupt prompts, scored at one position.

    Whatever a node reads or writes has the axes [corrupt, clean, pos, d_model], the first two of length 1 where it does
    not depend on that prompt; so each part of the model runs once for every corrupt prompt, every clean prompt or every
    pair, as the circuit's edges make it. Of the pairs only one block is ever held.

    Raises: DifferentGraphs when the circuit is of another model; BadTokens when the prompts do not fit each other or
    the model.
    """

    def __init__(
        self,
        model: Model,
        circuit: Circuit,
        clean: Int[Tensor, "clean pos"],
        corrupt: Int[Tensor, "corrupt _"],
        position: int,
    ) -> None:
        graph = model.graph
        if circuit.graph != graph:
            raise DifferentGraphs(
                f"a circuit of a model with {circuit.graph.describe()} cannot run on one with {graph.describe()}; "
                "load the model the circuit was found on"
            )
        length = clean.shape[1]
        if corrupt.shape[1] != length or not 0 <= position < length:
            raise BadTokens(
                f"clean prompts of {length} tokens and corrupt ones of {corrupt.shape[1]} cannot be crossed, scored at "
                f"position {position}; wanted one length, and a position inside it"
            )
        model.check(clean)
        model.check(corrupt)
        end = position + 1 if model.is_causal else length
        self._model, self._position = model, position
        self._clean, self._corrupt = clean[:, :end].to(model.device), corrupt[:, :end].to(model.device)
        self._places = model.places(length, end)
        self._scored = tuple(place.at(torch.tensor([position], device=model.device)) for place in self._places)
        alive = Liveness.of(graph, torch.from_numpy(circuit.mask())[None])
        self._heads = torch.arange(graph.n_heads, device=model.device)
        self._live: list[int] = alive.live[0].nonzero()[:, 0].tolist()
        self._wide: list[bool] = alive.wide[0].tolist()
        self._kept: list[list[int]] = [row.nonzero()[:, 0].tolist() for row in alive.kept[0]]
        self._reads = [graph.reads(receiver) for receiver in graph.receivers]
        self._steady = self._unreached()

    def blocks(self, pairs: int | None = None) -> Iterator[Block]:
        """The logits of all pairs, about so many at a time (None: as many as run fast)."""
        n_clean, n_corrupt = len(self._clean), len(self._corrupt)
        at_once = pairs or self._fast
        rows = min(n_corrupt, max(1, round(at_once**0.5)))
        columns = min(n_clean, max(1, at_once // rows))
        parts = [self._run_clean(some) for some in _slices(n_clean, rows * columns)]
        wrote = {sender: torch.cat([part.wrote[sender] for part in parts], 1) for sender in self._steady}
        frozen = self._model.graph.frozen_scale
        layers = zip(*(part.scales for part in parts), strict=True)
        scales = tuple(torch.cat([one for one in layer if one is not None]) if frozen else None for layer in layers)
        known = _Clean(wrote, scales)
        del parts
        for some in _slices(n_corrupt, rows):
            ablated = self._run_corrupt(some)
            for others in _slices(n_clean, columns):
                yield Block(some, others, self._run_pairs(ablated, known.select(others)))

    @torch.no_grad()
    def reference(self) -> Float[Tensor, "clean vocab"]:
        """The full model's logits on the clean prompts at the scored position."""
        parts = []
        for some in _slices(len(self._clean), self._fast):
            outputs = self._model.trace(self._model.embed(self._clean[some]), self._places).outputs
            final = outputs[:, :, self._position].sum(0) + self._biases(len(outputs))
            parts.append(self._model.unembedding(final))
        return torch.cat(parts)

    @property
    def _fast(self) -> int:
        tokens = _TOKENS if self._model.device.type == "cpu" else _TOKENS_ON_GPU
        return max(1, tokens // self._clean.shape[1])

    def _unreached(self) -> set[int]:
        """The live senders that nothing of the corrupt prompt reaches: all that they read is kept, and is such too."""
        steady = {0}
        for sender in self._live[1:]:
            rows = [row for row, _ in receivers_of(self._model.graph, sender)]
            if all(len(self._kept[row]) == self._reads[row] and steady.issuperset(self._kept[row]) for row in rows):
                steady.add(sender)
        return steady

    def _biases(self, read: int) -> Float[Tensor, " d_model"]:
        """The attention biases, which belong to no node, in the sum of the first `read` senders."""
        graph = self._model.graph
        total = torch.zeros(graph.d_model, dtype=self._model.dtype, device=self._model.device)
        per_layer = graph.n_heads + graph.has_mlp
        for index, layer in enumerate(self._model.layers):
            if 1 + index * per_layer + graph.n_heads <= read:
                total = total + layer.attention.output_bias
        return total

    @torch.no_grad()
    def _run_clean(self, some: slice) -> _Clean:
        """Every node that the corrupt prompt does not reach, on some clean prompts."""
        start = self._model.embed(self._clean[some])
        scales: tuple[Tensor | None, ...] = (None,) * self._model.graph.n_layers
        if self._model.graph.frozen_scale:
            scales = self._model.trace(start, self._places).scales
        known = _Clean({0: start[None]}, scales)
        for sender in self._live:
            if sender in self._steady and sender:
                known.wrote[sender] = self._write(sender, None, known)
        return known

    @torch.no_grad()
    def _run_corrupt(self, some: slice) -> _Corrupt:
        outputs = self._model.trace(self._model.embed(self._corrupt[some]), self._places).outputs
        residuals, total, start = {}, torch.zeros_like(outputs[0]), 0
        for read in sorted(set(self._reads)):
            total = total + outputs[start:read].sum(0)
            residuals[read], start = (total + self._biases(read))[:, None], read
        return _Corrupt(outputs[:, :, None], residuals)

    @torch.no_grad()
    def _run_pairs(self, ablated: _Corrupt, known: _Clean) -> Float[Tensor, "corrupt clean vocab"]:
        for sender in self._live:
            if sender not in self._steady:
                known.wrote[sender] = self._write(sender, ablated, known)
        final = self._input(len(self._kept) - 1, False, ablated, known).squeeze(-2)
        shape = len(ablated.outputs[0]), known.wrote[0].shape[1]
        return self._model.unembedding(final.expand(*shape, -1))

    def _write(
        self, sender: int, ablated: _Corrupt | None, known: _Clean
    ) -> Float[Tensor, "#corrupt #clean _ d_model"]:
        """What a live sender writes, at the scored position only unless it is read everywhere."""
        node, wide = self._model.graph.senders[sender], self._wide[sender]
        layer, rows = self._model.layers[node.layer], receivers_of(self._model.graph, sender)
        if node.kind == "mlp":
            assert layer.mlp is not None
            return layer.mlp(self._input(rows[0][0], wide, ablated, known))
        q, k, v = (self._project(row, wide or slot != "q", ablated, known) for row, slot in rows)
        place = (self._places if wide else self._scored)[node.layer]
        z = layer.attention.attend(q, k, v, place)
        out = layer.attention.write(z, self._heads[node.head : node.head + 1])[0]
        scale = known.scales[node.layer]
        return out if scale is None else out * (scale if wide else self._at_score(scale))

    def _project(
        self, row: int, wide: bool, ablated: _Corrupt | None, known: _Clean
    ) -> Float[Tensor, "1 #corrupt #clean _ d_head"]:
        """The queries, keys or values of one head."""
        if ablated is not None and row in ablated.projected:
            return ablated.projected[row]
        node, slot = self._model.graph.receivers[row]
        attention, head = self._model.layers[node.layer].attention, self._heads[node.head : node.head + 1]
        normed = attention.norm(self._input(row, wide, ablated, known))[None]
        place = (self._places if wide else self._scored)[node.layer]
        match slot:
            case "q":
                made = place.rotate(attention.query(normed, head))
            case "k":
                made = place.rotate(attention.key(normed, head))
            case _:
                made = attention.value(normed, head)
        if ablated is not None and not self._kept[row]:
            ablated.projected[row] = made
        return made

    def _input(
        self, row: int, wide: bool, ablated: _Corrupt | None, known: _Clean
    ) -> Float[Tensor, "#corrupt #clean _ d_model"]:
        """What a receiver reads: what the corrupt prompt brings it over missing edges, and all that it keeps."""
        kept, read = self._kept[row], self._reads[row]
        if len(kept) == read:
            floor = self._biases(read)[None, None, None]
        else:
            assert ablated is not None
            if row not in ablated.floors:
                residual = ablated.residuals[read]
                residual = residual - ablated.outputs[kept].sum(0) if kept else residual
                ablated.floors[row] = residual if wide else self._at_score(residual)
            floor = ablated.floors[row]
        values = [known.wrote[sender] if wide else self._at_score(known.wrote[sender]) for sender in kept]
        # what does not depend on the corrupt prompt first, and on its own, so that few sums are as large as the pairs
        own = [value for sender, value in zip(kept, values, strict=True) if sender in self._steady]
        total: Tensor = floor + sum(own)
        for sender, value in zip(kept, values, strict=True):
            if sender not in self._steady:
                total = total + value
        return total

    def _at_score(self, x: Float[Tensor, "*batch pos d"]) -> Float[Tensor, "*batch 1 d"]:
        """x at the scored position, or x itself where it is there already."""
        return x if x.shape[-2] == 1 else x[..., self._position : self._position + 1, :]


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
