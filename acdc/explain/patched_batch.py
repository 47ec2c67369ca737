"""A batch of prompts with its clean and its corrupt run, ready for parts of one to be put into the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from acdc.batch import Batch
from acdc.graphs.execution.restoring import Restoring, streams
from acdc.problem import Problem


@dataclass(frozen=True)
class PatchedBatch:
    """One batch of prompts with its runs: `restored` puts parts of the clean run into the corrupt one."""

    batch: Batch
    restored: Restoring

    @classmethod
    def of(cls, problem: Problem, batch: Batch) -> PatchedBatch:
        """Run the prompts of a batch, to where the last is scored."""
        model, prompts = problem.model, batch.prompts
        end = batch.runs.length
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
