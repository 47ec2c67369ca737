"""Steering: what the mean direction from corrupt to clean prompts does when it is added to the corrupt run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import UnmeasurableBehaviour
from acdc.explain.estimates import Estimates, means, ratios
from acdc.explain.final_metric import measured
from acdc.explain.patched_batch import PatchedBatch
from acdc.explain.patching import bounds
from acdc.problem import Problem
from acdc.tasks.metrics import Accuracy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOSES = (0.0, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Steering:
    """The effect of a direction by layer (row) and dose (column), added before the layer at the scored position.

    The direction is the mean of clean less corrupt residual streams over one half of the prompts, added to the corrupt
    run of the other half, and the other way round. `effect` is the fraction of the behaviour that comes back, `right`
    how often the likeliest token is an answer, `random` the effect of a random direction of the same length, which is
    the control.

    Source: Turner et al. 2023, Activation Addition; Rimsky et al. 2024, Contrastive Activation Addition.
    """

    layers: tuple[int, ...]
    doses: tuple[float, ...]
    effect: Estimates
    right: Estimates
    random: Estimates

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        kinds = {name: getattr(self, name).to_json() for name in ("effect", "right", "random")}
        return {"layers": list(self.layers), "doses": list(self.doses), **kinds}

    def plot(self) -> Figure:
        """A line for every layer, from dark to light; random directions dashed; and accuracy beside it."""
        import matplotlib
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        colours = matplotlib.colormaps["viridis"]
        for index, layer in enumerate(self.layers):
            colour = colours(0.9 * index / max(1, len(self.layers) - 1))
            left.plot(self.doses, self.effect.value[index], color=colour, marker="o", markersize=3, label=f"{layer}")
            left.fill_between(
                self.doses, self.effect.low[index], self.effect.high[index], color=colour, alpha=0.12, linewidth=0
            )
            left.plot(self.doses, self.random.value[index], color=colour, linestyle=":", linewidth=1)
            right.plot(self.doses, self.right.value[index], color=colour, marker="o", markersize=3)
        left.axhline(0, color="grey", linewidth=0.5)
        left.set(xlabel="dose (dotted: random directions)", ylabel="fraction of the behaviour")
        right.set(xlabel="dose", ylabel="right", ylim=(-0.05, 1.05))
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside right center", title="before layer", fontsize="small"
        )
        figure.suptitle(
            "Steering corrupt prompts by the mean direction to clean ones, at the scored position", fontsize="medium"
        )
        return figure


def steering(
    problem: Problem, layers: Sequence[int] | None = None, doses: Sequence[float] = DOSES, seed: int = 0
) -> Steering:
    """Steer a problem's corrupt prompts before these layers (None: all).

    Raises: UnmeasurableBehaviour where the metric does not tell clean from corrupt prompts, or there is one prompt.
    """
    if len(problem.pairs) < 2:
        raise UnmeasurableBehaviour("one prompt has no other from which to take a direction; give at least 2")
    full, none = bounds(problem)
    layers = range(problem.graph.n_layers) if layers is None else layers
    directions = _directions(problem, layers)
    noise = torch.randn(directions.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    random = noise.to(directions) * (directions.norm(dim=-1) / noise.norm(dim=-1).to(directions))[..., None]
    shape = (len(layers), len(doses), len(problem.pairs))
    effect, right, control = (torch.empty(shape, dtype=torch.float64) for _ in range(3))
    for batch in problem.batches:
        runs = PatchedBatch.of(problem, batch)
        prompts, halves = batch.prompts.prompts.cpu(), batch.prompts.index % 2
        at_end = runs.at_scored[None]
        for column, dose in enumerate(doses):
            for along, into in ((directions, effect), (random, control)):
                source = list(runs.restored.base)
                for row, layer in enumerate(layers):
                    added = source[layer].before + dose * along[row][1 - halves][:, None]
                    source[layer] = replace(source[layer], before=added)
                with torch.no_grad():
                    # each layer by itself, all others as they are in the corrupt run
                    final = replace(runs.restored, source=tuple(source)).residual(layers, at_end).squeeze(1)
                into[:, column, prompts] = measured(problem, batch, final)
                if into is effect:
                    right[:, column, prompts] = measured(problem, batch, final, Accuracy())
        del batch
    whole = full - none
    return Steering(
        tuple(layers),
        tuple(doses),
        ratios(effect - none, whole, seed),
        means(right, seed),
        ratios(control - none, whole, seed),
    )


def _directions(problem: Problem, layers: Sequence[int]) -> Float[Tensor, "layer half d_model"]:
    """The mean of clean less corrupt residual streams at the scored position over either half of the prompts."""
    model = problem.model
    total = torch.zeros(len(layers), 2, problem.graph.d_model, dtype=model.dtype, device=model.device)
    count = torch.zeros(2, dtype=model.dtype, device=model.device)
    for batch in problem.batches:
        runs = PatchedBatch.of(problem, batch)
        rows = torch.arange(len(batch.prompts), device=model.device)
        halves = batch.prompts.index % 2
        count.index_add_(0, halves, torch.ones_like(rows, dtype=model.dtype))
        for row, layer in enumerate(layers):
            clean, corrupt = runs.restored.source[layer].before, runs.restored.base[layer].before
            change = (clean - corrupt)[rows, batch.prompts.scored_positions]
            total[row].index_add_(0, halves, change)
        del batch
    return total / count[None, :, None]
