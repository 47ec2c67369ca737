"""What the behaviour loses when a head alone no longer reads what the first token says; where it looks stays the same.

Nearly all heads of a language model look at the first token when they have nothing to do, and take nothing from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.final_metric import measured_by_row
from acdc.explain.node_ablation import clean_run
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.branching import Branch
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import SLOTS, Node
from acdc.problem import Problem
from acdc.progress import Progress

if TYPE_CHECKING:
    from acdc.judges.distance import Watch


def costs_without_first(
    problem: Problem, heads: Sequence[Node], watch: Watch | None = None
) -> Float[Tensor, "head prompt"]:
    """What it costs that a head takes its value at the first token from the ablated run, prompt by prompt.

    As a part of the behaviour. Queries, keys and all other values are those of the clean run. Exactly 0 where the
    first token is the same in both runs: what a head reads there decides nothing.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    full, none = problem.bounds
    costs = torch.empty(len(heads), len(problem.pairs), dtype=torch.float64)
    for batch in problem.batches:
        costs[:, batch.prompts.prompts.cpu()] = batch.prompts.added_up(_lost(problem, batch, heads, watch))
        del batch
    return costs / (full - none)


@freed_memory_kept()
def _lost(problem: Problem, batch: Batch, heads: Sequence[Node], watch: Watch | None) -> Float[Tensor, "head row"]:
    runs, run = batch.whole, clean_run(batch.whole)
    usual = runs.scored(runs.clean_residual(len(runs.graph.senders))).squeeze(-2)
    finals = usual.repeat(len(heads), 1, 1)
    with torch.no_grad():
        branches = sorted(_branches(runs, heads), key=lambda one: (one[1].start, one[1].end, one[1].layer))
        for done, ((number, branch), final) in enumerate(
            zip(branches, run.finals(branch for _, branch in branches), strict=True)
        ):
            finals[number, branch.rows] = final
            if watch is not None:
                watch(Progress("heads without what the first token says", done + 1, len(branches)))
    values = measured_by_row(problem, batch, torch.cat((usual[None], finals)))
    return values[0] - values[1:]


def _branches(runs: Runs, heads: Sequence[Node]) -> Iterator[tuple[int, Branch]]:
    """The runs of every head, by its number, from where it writes anything else on."""
    run, length = clean_run(runs), runs.delta.shape[-2]
    at = torch.arange(length, device=runs.delta.device)
    for number, head in enumerate(heads):
        change = _change(runs, head)
        differs = change.ne(0).any(-1)
        if head.layer == runs.graph.n_layers - 1:
            differs &= at == runs.scored_positions[:, None]  # nothing reads what it writes elsewhere
        sender = runs.graph.sender_index[head]
        written = runs.ablated.outputs[sender] + runs.delta[sender] + change
        starts = torch.where(differs.any(-1), differs.int().argmax(-1), length)
        for start, end, rows in run.spans(starts):
            before = run.before[head.layer][rows, start:end]
            yield number, Branch(head.layer, start, rows, before, {head: written[rows, start:end]})


def _change(runs: Runs, head: Node) -> Float[Tensor, "row pos d_model"]:
    """By how much what a head writes changes."""
    layer = runs.layers[head.layer]
    reads, which = layer.indices.reads, torch.tensor([head.head], device=runs.delta.device)
    made = {slot: layer.project(slot, runs.clean_residual(reads)[None], which) for slot in SLOTS}
    changed = made["v"].clone()
    changed[..., :1, :] = layer.project("v", runs.ablated.residuals[reads][None], which)[..., :1, :]
    usual, without = (layer.heads(made["q"], made["k"], v, which)[0] for v in (made["v"], changed))
    return without - usual
