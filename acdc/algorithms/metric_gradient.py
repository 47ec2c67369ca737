"""The gradient of a metric at some logits, or the reason why there is none to score edges with."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.precision import finite, wide
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric, Targets


def differentiable(metric: AbstractMetric) -> AbstractMetric:
    """The metric itself.

    Raises: BadSetting when it has no gradient.
    """
    if not metric.differentiable:
        raise BadSetting(
            f"{metric.name} has no gradient to attribute with; use another metric (--metric logit_difference) "
            "or an exact method (--method acdc or exact)"
        )
    return metric


def gradient(
    metric: AbstractMetric, logits: Float[Tensor, "batch column"], targets: Targets
) -> Float[Tensor, "batch column"]:
    """The gradient of the sum of a metric over prompts; half precision would lose it where the metric is near its best.

    Raises: BadSetting when it has none.
    """
    with torch.enable_grad():
        leaf = wide(logits).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(differentiable(metric)(leaf, targets).sum(), leaf)
    return gradient


def require_nonzero(problem: Problem, scores: Float[Tensor, "*score"]) -> Float[Tensor, "*score"]:
    """The scores themselves, first-order effects on the problem's metric.

    Raises: UnmeasurableBehaviour when all of them are 0, or no more than rounding makes of a gradient that is 0: a part
    as small as the precision's of what ablating the whole model changes. NotFinite.
    """
    finite(scores, f"first-order effects on {problem.metric.name}")
    if not scores.abs().max() > _rounding(problem):
        raise UnmeasurableBehaviour(
            f"the gradient of {problem.metric.name} is 0 at every edge: at the clean run it is at its best already; "
            "use another metric (--metric logit_difference), integrated gradients (--method eap-ig) or --method acdc"
        )
    return scores


def _rounding(problem: Problem) -> float:
    """The part of what ablating the whole model changes that the metric's precision, float32 at least, cannot tell."""
    try:
        full, none = problem.bounds
    except UnmeasurableBehaviour:  # there is nothing to take a part of
        return 0.0
    return torch.finfo(torch.promote_types(problem.model.dtype, torch.float32)).eps * abs(full - none)
