"""At which positions what a head writes is needed: what the behaviour loses when it is ablated there alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.node_ablation import logits_without
from acdc.graphs.nodes import Node
from acdc.precision import finite_metric
from acdc.problem import Problem

LEAST = 0.01
"""A head is needed for a prompt from this part of the behaviour on."""


def costs_by_position(problem: Problem, batch: Batch, heads: Sequence[Node]) -> Float[Tensor, "head row pos"]:
    """What ablating each head at each position alone costs, row by row of a batch, as a part of the behaviour.

    Measured, one run for each head and position; it is 0 without where a head writes what it does in the ablated run,
    and, in the last layer, where no row is scored.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    full, none = problem.bounds
    runs, index = batch.runs, problem.graph.sender_index
    delta = runs.delta
    found = torch.zeros(len(heads), *delta.shape[1:-1], dtype=torch.float64)
    at = torch.arange(delta.shape[-2], device=delta.device)

    def metric(logits: Float[Tensor, "row vocab"]) -> Float[Tensor, " row"]:
        return finite_metric(problem.metric, logits[None], batch.targets, problem.model)[0].double().cpu()

    with torch.no_grad():
        usual = metric(logits_without(runs, ()))
        for number, head in enumerate(heads):
            other = delta[index[head]].ne(0).any(-1)
            if head.layer == problem.graph.n_layers - 1:
                other &= at == runs.scored_positions[:, None]
            for position in other.any(0).nonzero().flatten().tolist():
                found[number, :, position] = usual - metric(logits_without(runs, [head], at == position))
    return found / (full - none)


def position_weights(
    costs: Float[Tensor, "head row pos"], written: Float[Tensor, "head row pos"]
) -> Float[Tensor, "head row pos"]:
    """How much each position of a row counts for a head; they add up to 1, or to 0 where it writes nothing of its own.

    The size of the cost there. Where all of them together are less than `LEAST`, as where another head does the same,
    it is the size of what the head writes there less what it does in the ablated run, which is `written`.
    """
    sizes = torch.where(costs.abs().sum(-1, keepdim=True) >= LEAST, costs.abs(), written)
    total = sizes.sum(-1, keepdim=True)
    return torch.where(total > 0, sizes / total.clamp(min=torch.finfo(total.dtype).tiny), 0)
