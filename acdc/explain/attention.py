"""Where every head looks: its attention from one slot of a prompt to another, and so many positions back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.positions import END, OTHER, position_names
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import Node
from acdc.problem import Problem

FARTHEST = 16
"""How many positions back attention is told apart by offset."""


@dataclass(frozen=True)
class AttentionBySlot:
    """The mean attention of every head on some prompts.

    `slots` are the names of positions, `END` (where prompts are scored) first; `by_slot` is the attention from a slot
    to another, `by_offset` that to the position 0, 1, 2, ... back; both are means over the prompts that have these
    positions, and not a number where no prompt has. `counts` says how many prompts have each slot.
    """

    heads: tuple[Node, ...]
    slots: tuple[str, ...]
    counts: Int[Tensor, " slot"]
    by_slot: Float[Tensor, "head query key"]
    by_offset: Float[Tensor, "head query offset"]

    def of(self, head: Node, query: str, key: str) -> float:
        """The mean attention of a head from a slot to another."""
        return float(self.by_slot[self.heads.index(head), self.slots.index(query), self.slots.index(key)])

    def back(self, head: Node, query: str, offset: int) -> float:
        """The mean attention of a head from a slot to the position `offset` back."""
        return float(self.by_offset[self.heads.index(head), self.slots.index(query), offset])


def layer_patterns(runs: Runs) -> Iterator[Float[Tensor, "head batch query key"]]:
    """The attention patterns of the clean run, layer by layer, rows of which add up to 1."""
    for layer in runs.layers:
        residual = runs.clean_residual(layer.indices.reads)
        q, k = (layer.project_all(slot, residual) for slot in ("q", "k"))
        with torch.no_grad():
            pattern = layer.layer.attention.pattern(q, k, layer.geometry)
        yield pattern  # outside: who reads it meanwhile, or reads two models in turns, keeps a grad mode of their own


def attention(problem: Problem) -> AttentionBySlot:
    """Where every head of the model looks on a problem's clean prompts."""
    slots = slot_names(problem)
    total: _Sums | None = None
    for batch in problem.batches:
        is_slot = slots_of_batch(problem, batch, slots)
        summed = _Sums.of(batch.whole, is_slot.to(problem.model.device, problem.model.dtype))
        total = summed if total is None else total + summed
        del batch
    assert total is not None
    heads = tuple(node for node in problem.graph.senders if node.kind == "head")
    return AttentionBySlot(heads, slots, total.rows.cpu(), *total.means())


def slot_names(problem: Problem) -> tuple[str, ...]:
    """The names of the positions of a problem's prompts: `END`, then the others by where they first stand."""
    first: dict[str, int] = {}
    for pair in problem.pairs.pairs:
        for position, name in enumerate(position_names(pair, problem.model.tokenizer)):
            first[name] = min(position, first.get(name, position))
    return (END, *(name for name in sorted(first, key=lambda name: (first[name], name)) if name != END))


def slots_of_batch(problem: Problem, batch: Batch, slots: Sequence[str]) -> Float[Tensor, "batch slot pos"]:
    """Which of the slots stands at each position of the rows of a batch, 1 or 0."""
    rows = zip(batch.prompts.index.tolist(), batch.prompts.scored_positions.tolist(), strict=True)
    return _is_slot(problem, list(rows), slots, batch.runs.length)


def _is_slot(
    problem: Problem, rows: Sequence[tuple[int, int]], slots: Sequence[str], length: int
) -> Float[Tensor, "batch slot pos"]:
    """Which slot stands at each position, 1 or 0, of rows given as the number of a prompt and its scored position."""
    found = torch.zeros(len(rows), len(slots), length)
    for row, (number, scored) in enumerate(rows):
        pair = problem.pairs.pairs[number]
        names = position_names(pair, problem.model.tokenizer)[: scored + 1] if scored < pair.length else ()
        for position, name in enumerate(names):
            found[row, slots.index(END if position == scored else OTHER if name == END else name), position] = 1
    return found


@dataclass(frozen=True)
class _Sums:
    """Attention added up over prompts, and over how many: by slot each prompt is one, by offset each position."""

    by_slot: Float[Tensor, "head query key"]
    prompts: Float[Tensor, "query key"]
    by_offset: Float[Tensor, "head query offset"]
    positions: Float[Tensor, "query offset"]
    rows: Int[Tensor, " slot"]

    @classmethod
    def of(cls, runs: Runs, is_slot: Float[Tensor, "batch slot pos"]) -> _Sums:
        """Those of a batch of prompts."""
        offsets = range(min(FARTHEST + 1, is_slot.shape[-1]))
        share = is_slot / is_slot.sum(-1, keepdim=True).clamp(min=1)
        has = is_slot.amax(-1)
        by_slot, by_offset = [], []
        for pattern in layer_patterns(runs):
            by_slot.append(torch.einsum("hbij,bqi,bkj->hqk", pattern, share, is_slot))
            back = [torch.einsum("hbi,bqi->hq", pattern.diagonal(-o, -2, -1), is_slot[..., o:]) for o in offsets]
            by_offset.append(torch.stack(back, dim=-1))
        far = FARTHEST + 1 - len(offsets)
        positions = torch.stack([is_slot[..., o:].sum((0, 2)) for o in offsets], dim=-1)
        return cls(
            torch.cat(by_slot),
            torch.einsum("bq,bk->qk", has, has),
            torch.nn.functional.pad(torch.cat(by_offset), (0, far)),
            torch.nn.functional.pad(positions, (0, far)),
            has.sum(0).long(),
        )

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def means(self) -> tuple[Float[Tensor, "head query key"], Float[Tensor, "head query offset"]]:
        """The means by slot and by offset; not a number where there is nothing."""
        return (self.by_slot / self.prompts).cpu(), (self.by_offset / self.positions).cpu()
