"""Everything that is measured of the heads of a circuit for one half of a task's prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.explain.direct_logits import direct_effects
from acdc.explain.estimates import means
from acdc.explain.final_metric import measured_by_row
from acdc.explain.first_token import costs_without_first
from acdc.explain.head_behaviours import on_prompts, on_random_sequences, where_needed
from acdc.explain.head_evidence import DirectEffect, HeadCosts, HeadEvidence
from acdc.explain.node_ablation import costs_without
from acdc.graphs.nodes import Node
from acdc.problem import Problem

if TYPE_CHECKING:
    from acdc.judges.distance import Watch


def evidence(
    problem: Problem,
    heads: Sequence[Node],
    *,
    by_position: Sequence[Node] | None = None,
    seed: int | None = None,
    watch: Watch | None = None,
) -> HeadEvidence:
    """The evidence on a problem's prompts, and on random sequences drawn with `seed` (None: on none).

    Only some heads (None: all) are ablated at single positions, which costs by far the most time.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    prompts, needed = where_needed(problem, heads if by_position is None else by_position, watch)
    costs = costs_without(problem, [[head] for head in heads], watch=watch)
    direct = {} if problem.pairs.whole or not heads else _direct(problem, heads, costs)
    first = costs_without_first(problem, heads, watch)
    found = HeadCosts(dict(zip(heads, costs, strict=True)), needed, dict(zip(heads, first, strict=True)))
    random = None if seed is None else on_random_sequences(problem, seed)
    return HeadEvidence(prompts, on_prompts(problem), random, direct, found)


def _direct(problem: Problem, heads: Sequence[Node], costs: Float[Tensor, "head prompt"]) -> dict[Node, DirectEffect]:
    effects, index = direct_effects(problem), problem.graph.sender_index
    total = abs(float(effects.sum(0).mean()))
    found = means(effects[[index[head] for head in heads]] / (total or 1.0))
    mostly = _costs_of_edges(problem, heads).mean(1).abs() >= costs.mean(1).abs() / 2
    return {head: DirectEffect(found.interval(number), bool(mostly[number])) for number, head in enumerate(heads)}


def _costs_of_edges(problem: Problem, heads: Sequence[Node]) -> Float[Tensor, "head prompt"]:
    """What removing the edge from each head to the logits costs: the final norm reads all but what it carries."""
    full, none = problem.bounds
    index = [problem.graph.sender_index[head] for head in heads]
    costs = torch.empty(len(heads), len(problem.pairs), dtype=torch.float64)
    for batch in problem.batches:
        runs = batch.whole
        final = runs.scored(runs.clean_residual(len(problem.graph.senders))).squeeze(-2)
        carried = runs.scored(runs.delta[index]).squeeze(-2)
        values = measured_by_row(problem, batch, torch.cat((final[None], final - carried)))
        costs[:, batch.prompts.prompts.cpu()] = batch.prompts.added_up(values[0] - values[1:])
        del batch
    return costs / (full - none)
