"""The metric of runs by what their final norm reads at the scored positions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.precision import finite_metric
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric

_LOGITS = 1 << 24
"""How many logits are held at once."""


def measured(
    problem: Problem, batch: Batch, final: Float[Tensor, "site row d_model"], metric: AbstractMetric | None = None
) -> Float[Tensor, "site prompt"]:
    """The metric (None: the problem's) of every site on every prompt of a batch; on the CPU."""
    return batch.prompts.added_up(measured_by_row(problem, batch, final, metric))


def measured_by_row(
    problem: Problem, batch: Batch, final: Float[Tensor, "site row d_model"], metric: AbstractMetric | None = None
) -> Float[Tensor, "site row"]:
    """What every row of a batch adds to the metric of its prompt."""
    metric = problem.metric if metric is None else metric
    columns, targets = batch.columns(metric)
    width = problem.model.unembedding.weight.shape[0] if columns is None else columns.shape[1]
    at_once = max(1, _LOGITS // (final.shape[1] * width))
    parts = []
    with torch.no_grad():
        for some in torch.split(final, at_once):
            logits = problem.model.unembedding(some, columns)
            parts.append(finite_metric(metric, logits, targets, problem.model).double().cpu())
    return torch.cat(parts)
