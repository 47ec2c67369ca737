"""At which positions what a head writes is needed: what the behaviour loses when it is ablated there alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.node_ablation import NodeAblation, lost_without
from acdc.graphs.nodes import Node
from acdc.problem import Problem

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

LEAST = 0.01
"""A head is needed for a prompt from this part of the behaviour on."""


def costs_by_position(
    problem: Problem, batch: Batch, heads: Sequence[Node], watch: Watch | None = None
) -> Float[Tensor, "head row pos"]:
    """What ablating each head at each position alone costs, row by row of a batch, as a part of the behaviour.

    Measured, one run for each head and position; it is 0 without where a head writes what it does in the ablated run,
    and, in the last layer, where no row is scored.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    full, none = problem.bounds
    positions = range(batch.runs.length)
    ablations = [NodeAblation((head,), position) for position in positions for head in heads]
    lost = lost_without(problem, batch, ablations, watch=watch, stage="ablating heads at single positions")
    return lost.view(len(positions), len(heads), lost.shape[1]).permute(1, 2, 0) / (full - none)


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
