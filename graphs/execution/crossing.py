"""One circuit on every pair of a clean and a corrupt prompt, what depends on one of the two run once for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadTokens, DifferentGraphs
from acdc.graphs.execution.layer import LayerRun, layer_runs
from acdc.graphs.execution.liveness import Liveness, receivers_of
from acdc.graphs.execution.runs import residuals_of
from acdc.graphs.execution.spans import rows_of
from acdc.graphs.model.parts import Scales
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import SLOTS, Slot

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

    `residuals` is keyed by how many senders its reader reads. `missing` and `projected` are found when first asked for:
    what the missing edges of a receiver bring it, and the queries, keys or values of those that read nothing else.
    """

    outputs: Float[Tensor, "sender corrupt 1 pos d_model"]
    residuals: dict[int, Float[Tensor, "corrupt pos d_model"]]
    missing: dict[int, Float[Tensor, "corrupt 1 _ d_model"]] = field(default_factory=dict)
    projected: dict[int, Float[Tensor, "1 corrupt 1 _ d_head"]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Clean:
    """What is known of some clean prompts, axes as in `CrossedRun`.

    `wrote` holds what live senders write that nothing of the corrupt prompt reaches, to which a block adds what the
    others write for its pairs; `scales`, of norms that span heads, are frozen; `spans`, if edges have such, are those
    of the prompts' positions.
    """

    wrote: dict[int, Float[Tensor, "#corrupt clean _ d_model"]]
    scales: tuple[Scales, ...]
    layers: tuple[LayerRun, ...]
    spans: Int[Tensor, "clean pos"] | None = None


class CrossedRun:
    """A circuit of resample ablation on all pairs of these clean and corrupt prompts, scored at one position.

    Whatever a node reads or writes has the axes [corrupt, clean, pos, d_model], the first two of length 1 where it does
    not depend on that prompt; so each part of the model runs once for every corrupt prompt, every clean prompt or every
    pair, as the circuit's edges make it. Of the pairs only one block is ever held. Where edges have spans, `spans` are
    those of each position of the clean prompts, and an edge brings at these what the sender writes.

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
        spans: Int[Tensor, "clean pos"] | None = None,
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
        self._geometries = model.geometries(length, end)
        if graph.spans and spans is None:
            raise BadTokens(
                "the circuit has edges by position, and the prompts do not say of which span theirs are; give `spans`"
            )
        live = Liveness.of(graph, torch.from_numpy(circuit.mask())[None])
        self._live: list[int] = live.live[0].nonzero()[:, 0].tolist()
        self._all_positions: list[bool] = live.all_positions[0].tolist()
        by_span = live.kept[0][rows_of(graph)]
        self._kept: list[list[int]] = [row.any(0).nonzero()[:, 0].tolist() for row in by_span]
        self._whole: list[list[bool]] = by_span.all(1).tolist()
        inputs = graph.without_spans
        self._reads = [inputs.reads(receiver) for receiver in inputs.receivers]
        self._by_span = by_span.to(model.device)
        self._spans = None if spans is None or not graph.spans else spans[:, :end].to(model.device)
        self._clean_only = self._of_the_clean_prompt()
        nothing = torch.zeros(len(graph.senders), 1, 1, graph.d_model, dtype=model.dtype, device=model.device)
        self._biases = residuals_of(model, nothing, (1, 1, graph.d_model))

    def blocks(self, pairs: int | None = None) -> Iterator[Block]:
        """The logits of all pairs, about so many at a time (None: as many as run fast)."""
        n_clean, n_corrupt = len(self._clean), len(self._corrupt)
        at_once = pairs or self._fast
        rows = min(n_corrupt, max(1, round(at_once**0.5)))
        columns = min(n_clean, max(1, at_once // rows))
        parts = [self._run_clean(some) for some in _slices(n_clean, rows * columns)]
        wrote = {sender: torch.cat([part.wrote[sender] for part in parts], 1) for sender in self._clean_only}
        scales = tuple(Scales.cat(layer) for layer in zip(*(part.scales for part in parts), strict=True))
        del parts
        for some in _slices(n_corrupt, rows):
            ablated = self._run_corrupt(some)
            for others in _slices(n_clean, columns):
                known = self._known(
                    {sender: value[:, others] for sender, value in wrote.items()},
                    tuple(each.map(itemgetter(others)) for each in scales),
                    others,
                )
                yield Block(some, others, self._run_pairs(ablated, known))

    @torch.no_grad()
    def reference(self) -> Float[Tensor, "clean vocab"]:
        """The full model's logits on the clean prompts at the scored position."""
        parts = []
        for some in _slices(len(self._clean), self._fast):
            outputs = self._model.trace(self._model.embed(self._clean[some]), self._geometries).outputs
            read = outputs[self._model.graph.since(len(outputs)) :]
            final = read[:, :, self._position].sum(0) + self._biases[len(outputs)][0]
            parts.append(self._model.unembedding(final))
        return torch.cat(parts)

    @property
    def _fast(self) -> int:
        tokens = _TOKENS if self._model.device.type == "cpu" else _TOKENS_ON_GPU
        return max(1, tokens // self._clean.shape[1])

    def _of_the_clean_prompt(self) -> set[int]:
        """The live senders that nothing of the corrupt prompt reaches: all that they read is kept, and is such too."""
        found = {0}
        for sender in self._live[1:]:
            rows = [row for row, _ in receivers_of(self._model.graph, sender)]
            if all(self._is_whole(row) and found.issuperset(self._kept[row]) for row in rows):
                found.add(sender)
        return found

    def _is_whole(self, row: int) -> bool:
        """Whether an input keeps all it reads, at every span."""
        reads = self._reads[row]
        return len(self._kept[row]) == reads - self._model.graph.since(reads) and all(
            self._whole[row][sender] for sender in self._kept[row]
        )

    def _known(self, wrote: dict[int, Tensor], scales: tuple[Scales, ...], some: slice) -> _Clean:
        position = torch.tensor([self._position], device=self._model.device)
        layers = layer_runs(self._model, self._geometries, position, scales, self._scored)
        return _Clean(wrote, scales, layers, None if self._spans is None else self._spans[some])

    @torch.no_grad()
    def _run_clean(self, some: slice) -> _Clean:
        """Every node that the corrupt prompt does not reach, on some clean prompts."""
        start = self._model.embed(self._clean[some])
        scales: tuple[Scales, ...] = (Scales(),) * self._model.graph.n_layers
        if self._model.graph.frozen_scale:
            scales = self._model.trace(start, self._geometries).scales
        known = self._known({0: start[None]}, scales, some)
        for sender in self._live:
            if sender in self._clean_only and sender not in known.wrote:
                known.wrote[sender] = self._write(sender, None, known)
        return known

    @torch.no_grad()
    def _run_corrupt(self, some: slice) -> _Corrupt:
        outputs = self._model.trace(self._model.embed(self._corrupt[some]), self._geometries).outputs
        return _Corrupt(outputs[:, :, None], residuals_of(self._model, outputs, outputs.shape[1:]))

    @torch.no_grad()
    def _run_pairs(self, ablated: _Corrupt, known: _Clean) -> Float[Tensor, "corrupt clean vocab"]:
        for sender in self._live:
            if sender not in self._clean_only and sender not in known.wrote:
                known.wrote[sender] = self._write(sender, ablated, known)
        final = self._input(len(self._kept) - 1, False, ablated, known).squeeze(-2)
        shape = len(ablated.outputs[0]), known.wrote[0].shape[1]
        return self._model.unembedding(final.expand(*shape, -1))

    def _write(
        self, sender: int, ablated: _Corrupt | None, known: _Clean
    ) -> Float[Tensor, "#corrupt #clean _ d_model"]:
        """What a live sender writes, at the scored position only unless it is read everywhere.

        The other live parts of a node that read the same, as all do where it reads as a whole, are noted on the way.
        """
        graph, all_positions = self._model.graph, self._all_positions[sender]
        node, rows = graph.senders[sender], receivers_of(graph, sender)
        layer = known.layers[node.layer]
        if node.kind == "head":
            head = torch.tensor([node.head], device=self._model.device)
            q, k, v = self._projected(layer, head, rows, all_positions, ablated, known)
            return layer.heads(q, k, v, head, all_positions=all_positions)[0]
        alike = self._alike(sender)
        if node.kind == "attention":
            q, k, v = (self._of_heads(layer, slot, rows, all_positions, ablated, known) for slot in SLOTS)
            made = layer.attention(q, k, v, all_positions=all_positions)
        else:
            read, indices = self._input(rows[0][0], all_positions, ablated, known), graph.indices(node)
            parts = torch.tensor(alike, device=read.device) - indices.senders.start
            made = layer.node_parts(indices, read[None], parts)
        wrote = dict(zip(alike, made.unbind(), strict=True))
        known.wrote.update((part, each) for part, each in wrote.items() if part in self._live)
        return wrote[sender]

    def _alike(self, sender: int) -> list[int]:
        """The parts of a node that run with this one: all, or the live ones of these edges and positions."""
        graph = self._model.graph
        every, node = graph.written_by(graph.senders[sender]), graph.senders[sender]
        if graph.runs_as_one(node):
            return list(every)
        own = self._by_span[receivers_of(graph, sender)[0][0]]
        return [
            other
            for other in every
            if other == sender
            or (
                other in self._live
                and self._all_positions[other] == self._all_positions[sender]
                and torch.equal(self._by_span[receivers_of(graph, other)[0][0]], own)
            )
        ]

    def _of_heads(
        self,
        layer: LayerRun,
        slot: Slot,
        rows: Sequence[tuple[int, Slot | None]],
        all_positions: bool,
        ablated: _Corrupt | None,
        known: _Clean,
    ) -> Float[Tensor, "head #corrupt #clean _ d_head"]:
        """The queries, keys or values of all heads of a layer."""
        made = []
        for number, row in enumerate(row for row, of in rows if of == slot):
            head = torch.tensor([number], device=self._model.device)
            made += self._projected(layer, head, [(row, slot)], all_positions, ablated, known)
        shape = [max(sizes) for sizes in zip(*(each.shape for each in made), strict=True)]
        return torch.cat([each.expand(shape) for each in made])

    def _projected(
        self,
        layer: LayerRun,
        head: Int[Tensor, " 1"],
        rows: Sequence[tuple[int, Slot | None]],
        all_positions: bool,
        ablated: _Corrupt | None,
        known: _Clean,
    ) -> list[Float[Tensor, "1 #corrupt #clean _ d_head"]]:
        """What these inputs of a head make of what they read; those that read the ablated run only, once."""
        projected: list[Tensor] = []
        for row, slot in rows:
            assert slot is not None
            if ablated is not None and row in ablated.projected:
                projected.append(ablated.projected[row])
                continue
            everywhere = all_positions or slot != "q"
            residual = self._input(row, everywhere, ablated, known)[None]
            projected.append(layer.project(slot, residual, head, all_positions=everywhere))
            if ablated is not None and not self._kept[row]:
                ablated.projected[row] = projected[-1]
        return projected

    def _input(
        self, row: int, all_positions: bool, ablated: _Corrupt | None, known: _Clean
    ) -> Float[Tensor, "#corrupt #clean _ d_model"]:
        """What an input reads: what the corrupt prompt brings it over missing edges, and all that it keeps."""
        read, whole = self._reads[row], [sender for sender in self._kept[row] if self._whole[row][sender]]
        if self._is_whole(row):
            missing = self._biases[read][None]
        else:
            assert ablated is not None
            if row not in ablated.missing:
                residual = ablated.residuals[read][:, None]
                residual = residual - ablated.outputs[whole].sum(0) if whole else residual
                ablated.missing[row] = residual if all_positions else self._scored(residual)
            missing = ablated.missing[row]
        values = [known.wrote[sender] if all_positions else self._scored(known.wrote[sender]) for sender in whole]
        # what does not depend on the corrupt prompt first, and on its own, so that few sums are as large as the pairs
        own = [value for sender, value in zip(whole, values, strict=True) if sender in self._clean_only]
        total: Tensor = missing + sum(own)
        for sender, value in zip(whole, values, strict=True):
            if sender not in self._clean_only:
                total = total + value
        for sender in self._kept[row]:
            if not self._whole[row][sender]:
                assert ablated is not None
                part = self._at_spans(row, sender, ablated, known)
                total = total + (part if all_positions else self._scored(part))
        return total

    def _at_spans(
        self, row: int, sender: int, ablated: _Corrupt, known: _Clean
    ) -> Float[Tensor, "corrupt clean pos d_model"]:
        """What a sender brings an input over what missing edges would, at the spans at which its edges are kept."""
        assert known.spans is not None
        inside = self._by_span[row, known.spans, sender][..., None]
        wrote, missing = known.wrote[sender], ablated.outputs[sender]
        if wrote.shape[-2] != missing.shape[-2]:  # it is there at the scored position only
            inside, missing = self._scored(inside), self._scored(missing)
        return (wrote - missing) * inside

    def _scored(self, x: Float[Tensor, "*batch pos d"]) -> Float[Tensor, "*batch 1 d"]:
        """x at the scored position, or x itself where it is there already."""
        return x if x.shape[-2] == 1 else x[..., self._position : self._position + 1, :]


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
