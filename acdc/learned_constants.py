"""Learn what missing edges carry under optimal ablation: a constant for each sender, that little is lost with.

Constants start at the means and descend on the KL of two circuits a step: that of no edge, and that of all edges from
some of the senders, drawn anew. So they are the same for all prompts, positions, circuits and metrics, and nothing is
fitted to the circuit that is measured. Learned on the few prompts that circuits are found on they would fit these, so
others are drawn beside them, none of which judges.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch, Batching
from acdc.graphs.ablation import Ablation
from acdc.graphs.constants import Constants
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.constant_tensors import kept
from acdc.graphs.execution.runs import Runs, residuals_of
from acdc.graphs.execution.sender_ablation import without_senders
from acdc.precision import finite
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.streams import Streams
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Task

STEPS, PER_STEP = 128, 4
"""How many steps constants are learned in, and the prompts of each: all different, if there are so many."""
_RATE, _DECAYS = 0.05, (0.9, 0.99)  # of Adam (Kingma and Ba 2015, arXiv:1412.6980); the rate falls to 0
_LEAST_DRAWN = 8  # fewer further prompts are not worth looking for


def learn(task: Task, discovery: Problem, judgement: PromptPairs, seed: int) -> Generator[Progress, None, Constants]:
    """The constants for a task on a model, step by step, learned on the discovery prompts and others like them.

    They do not hang on the problem's own metric and ablation. Of a task with so few prompts that there are no others,
    they are learned on the discovery prompts alone.

    Source: Li and Janson 2024 (arXiv:2409.09951), who learn them for every circuit anew.
    Raises: NotFinite.
    """
    more = _others(task, discovery, judgement, seed)
    pairs = PromptPairs((*discovery.pairs.pairs, *more.pairs))
    start = replace(discovery, ablation=Ablation.MEAN, carried_from=None).constants
    assert start is not None
    learned = replace(discovery, pairs=pairs, ablation=Ablation.ZERO, batching=Batching(PER_STEP), carried_from=None)
    with freed_memory_kept():
        values = yield from _descended(learned, start, seed)
    return kept(values)


def _others(task: Task, discovery: Problem, judgement: PromptPairs, seed: int) -> PromptPairs:
    """Further prompts, as many as all steps take, or as there are; none with the clean tokens of one that is known."""
    known = {pair.clean for pair in (*discovery.pairs.pairs, *judgement.pairs)}
    wanted = STEPS * PER_STEP - len(discovery.pairs)
    while wanted >= _LEAST_DRAWN:
        try:
            drawn = task.prompts.pairs(discovery.model.tokenizer, wanted + len(known), Streams(seed).constants())
        except BadPrompts:  # there are not so many
            wanted //= 2
            continue
        return PromptPairs(tuple(pair for pair in drawn.pairs if pair.clean not in known)[:wanted])
    return PromptPairs(())


def _descended(
    problem: Problem, start: Float[Tensor, "sender 1 1 d_model"], seed: int
) -> Generator[Progress, None, Float[Tensor, "sender 1 1 d_model"]]:
    generator = torch.Generator().manual_seed(seed)
    batches = _batches(problem, generator)
    batch = next(batches)
    # a step is as large, beside how much what a sender writes varies, for all senders
    scale = (batch.runs.delta - start).float().flatten(1).square().mean(1).sqrt()[:, None, None, None]
    wide = start.to(torch.promote_types(start.dtype, torch.float32))
    moved = torch.zeros_like(wide, requires_grad=True)
    descent = torch.optim.Adam([moved], lr=_RATE, betas=_DECAYS)
    for step in range(STEPS):
        yield Progress("learning the constants that missing edges carry", step, STEPS)
        descent.param_groups[0]["lr"] = _RATE * (1 - step / STEPS)
        share = torch.rand(1, generator=generator)
        present = torch.rand(len(problem.graph.senders), generator=generator) < share
        with torch.enable_grad():
            constants = (wide + scale * moved).to(start.dtype)
            each = torch.stack([_none(batch.runs, constants), without_senders(batch.runs, present, constants)])
            lost = KLDivergence().of_rows(each, batch.targets).mean()
        (slope,) = torch.autograd.grad(lost, moved)
        moved.grad = finite(slope, f"the gradient at the constants at step {step + 1}")
        descent.step()
        batch = next(batches)
    yield Progress("learning the constants that missing edges carry", STEPS, STEPS)
    return (wide + scale * moved).detach().to(start.dtype)


def _none(runs: Runs, constants: Float[Tensor, "sender 1 1 d_model"]) -> Float[Tensor, "batch vocab"]:
    """The logits of the circuit without edges: those of the constants alone, on every prompt the same."""
    final = residuals_of(runs.model, constants, (1, 1, constants.shape[-1]))[len(constants)]
    logits: Float[Tensor, "1 vocab"] = runs.model.unembedding(final.squeeze(-2))
    return logits.expand(len(runs.scored_positions), -1)


def _batches(problem: Problem, generator: torch.Generator) -> Iterator[Batch]:
    """The next few prompts, all of them in random order before any again."""
    batches = problem.prompt_batches
    while True:
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield problem.prepared(batches[number], confined=False)
