"""Runs that leave a known run at a layer and a position; of many of them, those that leave it alike run together.

Before that position they are the known run, whose keys and values they read, so nothing of it is run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.parts import Scales
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import SLOTS, Node, Slot

_TOKENS = 4096
"""About how many tokens, with those that are only read, run together."""


@dataclass(frozen=True)
class Branch:
    """Runs that have this residual stream before a layer (or at the end, after the last) from the position `start` on.

    Each is of a row of the known run. `fixed` is what some nodes of this layer or later ones write there instead of
    what they would.
    """

    layer: int
    start: int
    rows: Int[Tensor, " run"]
    residual: Float[Tensor, "run later d_model"]
    fixed: Mapping[Node, Float[Tensor, "run later d_model"]] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The position before which the runs end."""
        return self.start + self.residual.shape[1]


@dataclass(frozen=True)
class KnownRun:
    """A run of some prompts, by the residual stream `before` each layer, and where each prompt is scored.

    `scales` are those of norms that span heads, where these are frozen; None: every run has its own.
    """

    model: Model
    geometries: tuple[Geometry, ...]
    positions: Int[Tensor, " row"]
    before: tuple[Float[Tensor, "row pos d_model"], ...]
    scales: tuple[Scales, ...] | None = None

    def spans(self, starts: Int[Tensor, " row"]) -> list[tuple[int, int, Int[Tensor, " some"]]]:
        """From where to where rows have to be run that change from these positions on, those alike together.

        Rows that change only after they are scored are left out. Of a model that is not causal all positions change.
        """
        ends = self.positions + 1 if self.model.is_causal else torch.full_like(self.positions, self._length)
        reach = (starts <= self.positions) if self.model.is_causal else starts < self._length
        first = starts if self.model.is_causal else torch.zeros_like(starts)
        found: dict[tuple[int, int], list[int]] = {}
        for row, (start, end, changes) in enumerate(zip(first.tolist(), ends.tolist(), reach.tolist(), strict=True)):
            if changes:
                found.setdefault((start, end), []).append(row)
        return [(*span, torch.tensor(rows, device=starts.device)) for span, rows in found.items()]

    def finals(self, branches: Iterable[Branch]) -> Iterator[Float[Tensor, "run d_model"]]:
        """What the final norm reads at the scored positions of each branch, in their order.

        Neighbours of one span run together, so they come by span and then by layer.
        """
        together: list[Branch] = []
        tokens = 0
        for branch in branches:
            size = len(branch.rows) * branch.end
            alike = together and (branch.start, branch.end) == (together[0].start, together[0].end)
            if together and (not alike or tokens + size > _TOKENS):
                yield from self._run(together)
                together, tokens = [], 0
            together.append(branch)
            tokens += size
        if together:
            yield from self._run(together)

    def _run(self, branches: Sequence[Branch]) -> Iterator[Float[Tensor, "run d_model"]]:
        """Those of branches of one span, which join each other at their layers."""
        rows, residuals, order = branches[0].rows[:0], list[Tensor](), list[int]()
        for number in range(min(branch.layer for branch in branches), len(self.model.layers) + 1):
            for index, branch in enumerate(branches):
                if branch.layer == number:
                    order.append(index)
                    rows = torch.cat((rows, branch.rows))
                    residuals.append(branch.residual[:, -1:] if self._is_last(number - 1) else branch.residual)
            residual = torch.cat(residuals)
            if number < len(self.model.layers):
                fixed = _fixed(number, [branches[index] for index in order])
                residuals = [self._after(number, branches[0].end, rows, residual, fixed)]
        if residual.shape[1] > 1:
            at = self.positions[rows] - branches[0].start
            residual = residual[torch.arange(len(rows), device=rows.device), at].unsqueeze(1)
        parts = torch.split(residual.squeeze(1), [len(branches[index].rows) for index in order])
        return (part for _, part in sorted(zip(order, parts, strict=True), key=lambda pair: pair[0]))

    def _is_last(self, layer: int) -> bool:
        """Whether only the last position, where all runs are scored, is asked of a layer."""
        return self.model.is_causal and layer + 1 == len(self.model.layers)

    def _after(
        self,
        number: int,
        end: int,
        rows: Int[Tensor, " run"],
        residual: Float[Tensor, "run later d_model"],
        fixed: Sequence[tuple[slice, Node, Float[Tensor, "some later d_model"]]],
    ) -> Float[Tensor, "run _ d_model"]:
        """The residual stream after a layer in which nodes of some runs write what is fixed."""
        model, layer, start = self.model, self.model.layers[number], end - residual.shape[1]
        here: tuple[Slot, ...] = ("k", "v") if self._is_last(number) else SLOTS
        made = self._made(number, residual, rows, end, here)
        if start:
            earlier = self._read(number)
            made |= {slot: torch.cat((earlier[slot][:, rows, :start], made[slot]), dim=2) for slot in ("k", "v")}
        if self._is_last(number):
            residual = residual[:, -1:]
            made |= self._made(number, residual, rows, end, ("q",))
        start = end - residual.shape[1]
        gathered = layer.attention.attend(made["q"], made["k"], made["v"], self._geometry(number, start, end))
        heads = [(some, node.head, value) for some, node, value in fixed if node.kind == "head"]
        for some, head, _ in heads:
            gathered[head, some] = 0
        output, scales = layer.attention.output, self._scales(number, rows, start, end)
        wrote = torch.einsum("hrpk,hkd->rpd", gathered, output.weight)
        if scales is None:
            wrote = wrote if output.post_norm is None else output.post_norm(wrote)
        elif scales.heads is not None:
            wrote = wrote * scales.heads
        for some, _, value in heads:
            wrote[some] += value[:, start - end :]
        between = residual + wrote + output.bias
        if layer.mlp is None:
            return between
        added = layer.mlp(residual if model.graph.parallel else between)
        for some, node, value in fixed:
            if node.kind == "mlp":
                added[some] = value[:, start - end :]
        return between + added

    def _made(
        self,
        number: int,
        residual: Float[Tensor, "run later d_model"],
        rows: Int[Tensor, " run"],
        end: int,
        slots: Sequence[Slot],
    ) -> dict[Slot, Float[Tensor, "head run later d_head"]]:
        """Queries, keys or values of a layer at the last positions before `end`."""
        layer, start = self.model.layers[number], end - residual.shape[1]
        geometry, scales = self._geometry(number, start, end), self._scales(number, rows, start, end)
        if scales is None:
            return layer.make(residual, geometry, slots)[0]
        return {slot: layer.of_all(slot, residual, geometry, scales) for slot in slots}

    def _geometry(self, number: int, start: int, end: int) -> Geometry:
        return self.geometries[number].first(end).since(start)

    def _scales(self, number: int, rows: Int[Tensor, " run"], start: int, end: int) -> Scales | None:
        """The frozen scales of a layer at these positions; None where there are none."""
        if self.scales is None:
            return None
        return self.scales[number].map(lambda x: (x if len(x) == 1 else x[rows])[:, start:end])

    def _read(self, number: int) -> dict[Slot, Float[Tensor, "head row pos d_head"]]:
        """The keys and values of the known run."""
        if number not in self._known:
            every = torch.arange(len(self.positions), device=self.positions.device)
            self._known[number] = self._made(number, self.before[number], every, self._length, ("k", "v"))
        return self._known[number]

    @cached_property
    def _known(self) -> dict[int, dict[Slot, Tensor]]:
        return {}

    @property
    def _length(self) -> int:
        return self.before[0].shape[1]


def _fixed(number: int, branches: Sequence[Branch]) -> list[tuple[slice, Node, Float[Tensor, "some later d_model"]]]:
    """What is fixed in a layer, and of which of the runs, where those of these branches stand after each other."""
    found, first = [], 0
    for branch in branches:
        some = slice(first, first := first + len(branch.rows))
        found += [(some, node, value) for node, value in branch.fixed.items() if node.layer == number]
    return found
