"""A batch of prompts with its clean and its corrupt run, ready for parts of one to be put into the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.batch import Batch
from acdc.graphs.execution.restoring import Restoring, streams
from acdc.precision import finite_metric
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric

_LOGITS = 1 << 24
"""How many logits are held at once."""


@dataclass(frozen=True)
class PatchedBatch:
    """One batch of prompts with its runs: `restored` puts parts of the clean run into the corrupt one."""

    batch: Batch
    restored: Restoring

    @classmethod
    def of(cls, problem: Problem, batch: Batch) -> PatchedBatch:
        """Run the prompts of a batch, to where the last is scored."""
        model, prompts = problem.model, batch.prompts
        end = batch.runs.delta.shape[-2]
        geometries = model.geometries(prompts.clean.shape[1], end)
        with torch.no_grad():
            corrupt, clean = (
                streams(model, model.embed(tokens[:, :end]), geometries) for tokens in (prompts.corrupt, prompts.clean)
            )
        return cls(batch, Restoring(model, geometries, prompts.scored_positions, corrupt, clean))

    @property
    def first_rows(self) -> Int[Tensor, " prompt"]:
        """The first row of every prompt."""
        numbers = self.batch.prompts.prompt_numbers
        return torch.searchsorted(numbers, torch.arange(len(self.batch.prompts.prompts), device=numbers.device))

    @property
    def at_scored(self) -> Bool[Tensor, "row pos"]:
        """Where every row is scored."""
        length = self.restored.base[0].before.shape[1]
        positions = self.batch.prompts.scored_positions
        return torch.arange(length, device=positions.device) == positions[:, None]


def measured(
    problem: Problem, batch: Batch, final: Float[Tensor, "site row d_model"], metric: AbstractMetric | None = None
) -> Float[Tensor, "site prompt"]:
    """The metric (None: the problem's) of what the final norm reads, on every prompt of a batch."""
    metric = problem.metric if metric is None else metric
    columns, targets = batch.columns(metric)
    width = problem.model.unembedding.weight.shape[0] if columns is None else columns.shape[1]
    at_once = max(1, _LOGITS // (final.shape[1] * width))
    parts = []
    for some in torch.split(final, at_once):
        logits = problem.model.unembedding(some, columns)
        parts.append(finite_metric(metric, logits, targets, problem.model).double().cpu())
    return batch.prompts.added_up(torch.cat(parts))
