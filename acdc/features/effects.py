"""Which features or neurons matter for a behaviour: the first-order effect of each on the metric."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.algorithms.metric_gradient import gradient
from acdc.graphs.features.tapped_run import put, tapped_run
from acdc.graphs.features.units import AbstractUnits
from acdc.problem import Problem


def first_order_effects(problem: Problem, units: AbstractUnits) -> Float[Tensor, " unit"]:
    """By how much the metric would fall, in the mean over prompts, if a unit had the activation of the corrupt prompt.

    To first order: activation on the clean prompt less that on the corrupt one, times the slope of the metric along
    the unit's direction, added up over positions. The slope is that in the clean run, or, of a metric such as KL that
    is at its best there and has none, where what the units write is half-way to the corrupt run.

    Raises: BadSetting when the metric has no gradient.

    Source: Marks et al. 2024 (arXiv:2403.19647), section 3.1, equation 3.
    """
    model, metric = problem.model, problem.metric
    total = torch.zeros(units.count, dtype=torch.float64)
    for prompts in problem.prompt_batches:
        with torch.no_grad():
            clean = tapped_run(model, prompts.clean, {units.reads, units.writes})
            corrupt = tapped_run(model, prompts.corrupt, {units.reads, units.writes})
            change = units.activations(clean.found[units.reads]) - units.activations(corrupt.found[units.reads])
            rows = torch.arange(len(prompts), device=model.device)
            targets = prompts.targets(model.unembedding(clean.final[rows, prompts.scored_positions]))
            written = clean.found[units.writes]
            start = torch.lerp(written, corrupt.found[units.writes], 0.5) if metric.stationary else written
        with torch.enable_grad():
            leaf = start.detach().requires_grad_()
            final = tapped_run(model, prompts.clean, (), {units.writes: put(leaf)}).final
            logits = model.unembedding(final[rows, prompts.scored_positions])
            at_logits = gradient(metric, logits, targets)
            (slope,) = torch.autograd.grad(logits, leaf, at_logits.to(logits.dtype))
        along = slope.flatten(0, 1) @ units.there.T
        total += (along * change.flatten(0, 1)).double().sum(0).cpu()
    return total / len(problem.pairs)
