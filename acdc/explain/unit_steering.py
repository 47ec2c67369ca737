"""What a feature or a neuron does to a behaviour: without it, with more of it, and with a random direction added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.explain.estimates import Estimates, means
from acdc.graphs.features.tapped_run import TappedRun, put, tapped_run
from acdc.graphs.features.units import AbstractUnits
from acdc.precision import finite_metric
from acdc.problem import Problem
from acdc.tasks.batches import PromptBatch

DOSES = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class UnitSteering:
    """By how much clean prompts' metric changes, in the mean over prompts.

    `without` the unit: its activation taken away at every position. `added` at the scored position, by dose: that many
    times the unit's strongest activation on these prompts; `random` a direction of the same length, the control. `then`
    are the likeliest next tokens at the highest dose, with the part of the prompts.
    """

    doses: tuple[float, ...]
    without: Estimates
    added: Estimates
    random: Estimates
    then: tuple[tuple[int, float], ...]

    def to_json(self) -> dict[str, Any]:
        """All of it but `then`, whose tokens have no text here, as plain JSON data."""
        kinds = {name: getattr(self, name).to_json() for name in ("without", "added", "random")}
        return {"doses": list(self.doses), **kinds}


@torch.no_grad()
def unit_steering(
    problem: Problem, units: AbstractUnits, unit: int, strength: float, doses: Sequence[float] = DOSES, seed: int = 0
) -> UnitSteering:
    """Steer a problem's clean prompts along a unit, whose strongest activation is `strength`."""
    direction = units.there[unit]
    noise = torch.randn(direction.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    noise = (noise / noise.norm()).to(direction) * direction.norm()
    prompts = len(problem.pairs)
    without = torch.empty(1, prompts, dtype=torch.float64)
    added, random = (torch.empty(len(doses), prompts, dtype=torch.float64) for _ in range(2))
    likeliest: dict[int, int] = {}
    for batch in problem.prompt_batches:
        own = tapped_run(problem.model, batch.clean, {units.reads, units.writes})
        rows = torch.arange(len(batch), device=batch.clean.device)
        base = problem.model.unembedding(own.final[rows, batch.scored_positions])
        whole = _metric(problem, batch, base, base)
        columns = batch.prompts.cpu()
        active = units.activations(own.found[units.reads])[..., unit]

        def logits(change: Float[Tensor, "batch pos _"], run: TappedRun = own, batch: PromptBatch = batch) -> Tensor:
            put_there = {units.writes: put(run.found[units.writes] + change)}
            final = tapped_run(problem.model, batch.clean, (), put_there).final
            return problem.model.unembedding(final[torch.arange(len(batch)), batch.scored_positions])

        without[:, columns] = _metric(problem, batch, logits(-active[..., None] * direction), base) - whole
        at_scored = torch.zeros_like(active)
        at_scored[rows, batch.scored_positions] = strength
        for row, dose in enumerate(doses):
            for along, into in ((direction, added), (noise, random)):
                changed = logits(dose * at_scored[..., None] * along)
                into[row, columns] = _metric(problem, batch, changed, base) - whole
                if into is added and row + 1 == len(doses):
                    for token in changed.argmax(-1).tolist():
                        likeliest[token] = likeliest.get(token, 0) + 1
    total = sum(likeliest.values())
    then = sorted(((token, often / total) for token, often in likeliest.items()), key=lambda each: -each[1])
    return UnitSteering(tuple(doses), means(without, seed), means(added, seed), means(random, seed), tuple(then[:3]))


def _metric(
    problem: Problem, batch: PromptBatch, logits: Float[Tensor, "batch vocab"], base: Float[Tensor, "batch vocab"]
) -> Float[Tensor, " prompt"]:
    """The metric on every prompt of a batch; `base` are the model's own logits."""
    values = finite_metric(problem.metric, logits, batch.targets(base), problem.model)
    return batch.added_up(values.double().cpu())
