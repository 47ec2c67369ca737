"""What counts as a gradient, and what is rounding in the metric's precision."""

from __future__ import annotations

import pytest
import torch

import acdc
from acdc.algorithms.metric_gradient import gradient, require_nonzero
from acdc.errors import NotFinite, UnmeasurableBehaviour
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import Targets, metric


def periodic(dtype: str) -> Problem:
    setup = Setup(prompts=4).on(dtype=dtype)
    return problems(acdc.get_task("periodic"), load_named("periodic-2l", setup), setup)[0]


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 2.0**-23), ("bfloat16", 2.0**-23), ("float64", 2.0**-52)])
def test_scores_within_rounding_of_the_whole_effect_are_none(dtype: str, rounding: float) -> None:
    problem = periodic(dtype)
    full, none = problem.bounds
    scores = torch.zeros(3, dtype=torch.float64)
    for part, told in ((0.0, False), (0.5, False), (2.0, True)):
        scores[1] = -part * rounding * (full - none)
        if told:
            assert require_nonzero(problem, scores) is scores
        else:
            with pytest.raises(UnmeasurableBehaviour, match="the gradient of logit_difference is 0 at every edge"):
                require_nonzero(problem, scores)


def test_a_gradient_that_is_not_a_number_is_not_called_0() -> None:
    with pytest.raises(NotFinite, match="first-order effects on logit_difference cannot be judged: got nan for 1 of"):
        require_nonzero(periodic("float32"), torch.tensor([1.0, torch.nan]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_sure_answer_has_a_gradient_in_half_precision_too(dtype: torch.dtype) -> None:
    """By hand: p of the answer is 1 - exp(-8) or so, which half precision cannot tell from 1."""
    logits = torch.tensor([[8.0, 0.0]], dtype=dtype)
    targets = Targets(torch.tensor([[0]]), torch.tensor([[1]]), logits)
    slope = gradient(metric("nll"), logits, targets)
    assert slope.tolist() == [pytest.approx([-3.3535e-4, 3.3535e-4], rel=0.01)]
