"""Why a head looks where it looks and what it copies: what changes when one edge into it alone is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.answer_direction import Answers, direction
from acdc.explain.attention import slot_names, slots_of_batch
from acdc.graphs.nodes import SLOTS, Edge
from acdc.problem import Problem


@dataclass(frozen=True)
class EdgeComposition:
    """What removing one edge into a head of the whole model does to that head alone, in the mean over prompts.

    `moved` is the part of the attention from `END` that goes elsewhere then, 0 to 1; `slots` is by how much the
    attention to each slot rises. `lost` is what the head no longer adds directly to the logit difference.
    """

    edge: Edge
    moved: float
    slots: dict[str, float]
    lost: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        slots = {name: round(change, 4) for name, change in self.slots.items()}
        return {"edge": self.edge.name, "moved": round(self.moved, 4), "slots": slots, "lost": round(self.lost, 4)}


def compositions(problem: Problem, edges: Sequence[Edge]) -> tuple[EdgeComposition, ...]:
    """What each of these edges, all into heads, does for the head it leads to."""
    slots = slot_names(problem)
    totals = torch.zeros(len(edges), 2 + len(slots), dtype=torch.float64)
    rows = 0
    for batch in problem.batches:
        is_slot = slots_of_batch(problem, batch, slots)
        for index, edge in enumerate(edges):
            totals[index] += _of_batch(problem, batch, edge, is_slot)
        rows += len(batch.prompts)
        del batch
    means = totals / rows
    return tuple(
        EdgeComposition(
            edge, float(row[0]), {name: float(x) for name, x in zip(slots, row[2:], strict=True)}, float(row[1])
        )
        for edge, row in zip(edges, means, strict=True)
    )


def _of_batch(
    problem: Problem, batch: Batch, edge: Edge, is_slot: Float[Tensor, "batch slot pos"]
) -> Float[Tensor, " column"]:
    """Moved attention, lost direct effect and change by slot, added up over the rows of a batch."""
    runs, head = batch.whole, edge.receiver
    layer = runs.layers[head.layer]
    which = torch.tensor([head.head], device=runs.delta.device)
    residual = runs.clean_residual(layer.indices.reads)
    span = None if edge.span is None else runs.graph.spans.index(edge.span)
    without = residual - runs.positions.confined(runs.delta[runs.graph.sender_index[edge.sender]], span)
    with torch.no_grad():
        usual = {slot: layer.project(slot, residual[None], which) for slot in SLOTS}
        assert edge.slot is not None
        changed = {**usual, edge.slot: layer.project(edge.slot, without[None], which)}
        rows = torch.arange(len(batch.prompts), device=runs.delta.device)
        patterns, wrote = [], []
        for made in (usual, changed):
            pattern = layer.layer.attention.pattern(made["q"], made["k"], layer.geometry, which)
            patterns.append(pattern[0, rows, runs.scored_positions])
            out = layer.heads(made["q"], made["k"], made["v"], which)
            wrote.append(runs.scored(out[0]).squeeze(-2))
        change = patterns[1] - patterns[0]
        lost = torch.zeros(len(rows), dtype=torch.float64)
        if not problem.pairs.whole:
            final = runs.scored(runs.clean_residual(len(runs.graph.senders))).squeeze(-2)
            lost = direction(runs.model, final, Answers.of(batch.prompts))(wrote[0] - wrote[1])
        by_slot = torch.einsum("bk,bsk->s", change, is_slot.to(change))
    moved = change.abs().sum(-1) / 2
    return torch.cat([part.double().cpu() for part in (moved.sum()[None], lost.sum()[None], by_slot)])
