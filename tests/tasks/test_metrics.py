"""Metrics against answers worked out by hand, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from acdc.tasks.batches import PromptBatch
from acdc.tasks.errors import TaskError, UnknownMetric
from acdc.tasks.metrics import AbstractMetric, Targets, metric, metric_names

LOGITS = torch.tensor([[0.0, 1.0, 2.0, 3.0], [4.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
TARGETS = Targets(
    answers=torch.tensor([[3, -1], [1, 2]]),
    distractors=torch.tensor([[0, 1], [0, -1]]),
    reference=torch.zeros(2, 4, dtype=torch.float64),
)
Z0 = 1 + math.e + math.e**2 + math.e**3
Z1 = math.e**4 + 3
BY_HAND = {
    # row 0: 3 - (0 + 1) / 2; row 1: (0 + 0) / 2 - 4
    "logit_difference": [2.5, -4.0],
    "probability_difference": [(math.e**3 - 1 - math.e) / Z0, (2 - math.e**4) / Z1],
    # row 0: 3 - 0 - 1 + log Z; row 1: 0 + 0 - 4 - log Z
    "log_probability_difference": [2 + math.log(Z0), -4 - math.log(Z1)],
    # the full model is uniform here: KL = log Z - log 4 - mean logit
    "kl": [math.log(Z0) - math.log(4) - 1.5, math.log(Z1) - math.log(4) - 1.0],
    "nll": [math.log(Z0) - 3, math.log(Z1) - math.log(2)],
    "accuracy": [1.0, 0.0],
    "l2": [math.sqrt(14), 4.0],
}


def all_metrics() -> list[AbstractMetric]:
    return [metric(name) for name in metric_names()]


def differentiable() -> list[AbstractMetric]:
    return [kind for kind in all_metrics() if kind.differentiable]


def by_name(kind: AbstractMetric) -> str:
    return kind.name


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", all_metrics(), ids=by_name)
def test_the_answer_is_the_one_worked_out_by_hand(kind: AbstractMetric) -> None:
    assert kind(LOGITS, TARGETS).tolist() == pytest.approx(BY_HAND[kind.name], abs=1e-12)


@pytest.mark.parametrize("kind", all_metrics(), ids=by_name)
def test_circuits_along_leading_axes_are_measured_one_by_one(kind: AbstractMetric) -> None:
    logits = random(3, 5, 2, 4)
    together = kind(logits, TARGETS)
    assert together.shape == (3, 5, 2)
    for i in range(3):
        for j in range(5):
            torch.testing.assert_close(together[i, j], kind(logits[i, j], TARGETS), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", all_metrics(), ids=by_name)
def test_in_half_precision_a_metric_is_that_of_the_same_logits_in_float32(
    kind: AbstractMetric, dtype: torch.dtype
) -> None:
    """Differences of 300 have squares that overflow float16, and a probability of 1 - 1e-4 is 1 in bfloat16."""
    logits = (300 * LOGITS).to(dtype)
    assert kind(logits, TARGETS).dtype == torch.float32
    assert kind(logits, TARGETS).equal(kind(logits.float(), TARGETS))
    assert kind(logits, TARGETS).isfinite().all()


@pytest.mark.parametrize("kind", all_metrics(), ids=by_name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_the_logits_own(kind: AbstractMetric, dtype: torch.dtype) -> None:
    assert kind(LOGITS.to(dtype), TARGETS).dtype == dtype


@pytest.mark.parametrize("kind", differentiable(), ids=by_name)
def test_the_gradient_is_that_of_finite_differences(kind: AbstractMetric) -> None:
    targets = Targets(TARGETS.answers, TARGETS.distractors, random(2, 4, seed=1))
    logits = random(3, 2, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: kind(values, targets), (logits,))


@pytest.mark.parametrize("kind", differentiable(), ids=by_name)
def test_the_gradient_is_finite_at_the_full_model(kind: AbstractMetric) -> None:
    logits = random(2, 4).requires_grad_()
    kind(logits, Targets(TARGETS.answers, TARGETS.distractors, logits.detach().clone())).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", ["kl", "l2"])
def test_the_full_model_is_at_distance_zero_from_itself_with_zero_gradient(name: str) -> None:
    logits = random(2, 4).requires_grad_()
    distance = metric(name)(logits, Targets(TARGETS.answers, TARGETS.distractors, logits.detach().clone()))
    distance.sum().backward()
    assert logits.grad is not None
    assert distance.abs().max() < 1e-12
    assert logits.grad.abs().max() < 1e-12


@pytest.mark.parametrize("kind", differentiable(), ids=by_name)
def test_only_a_stationary_metric_has_no_gradient_at_the_full_model(kind: AbstractMetric) -> None:
    logits = random(2, 4).requires_grad_()
    kind(logits, Targets(TARGETS.answers, TARGETS.distractors, logits.detach().clone())).sum().backward()
    assert logits.grad is not None
    assert kind.stationary == (logits.grad.abs().max().item() < 1e-12)


@pytest.mark.parametrize("kind", all_metrics(), ids=by_name)
def test_the_sign_says_which_way_the_behaviour_grows(kind: AbstractMetric) -> None:
    right = torch.tensor([[0.0, 0.0, 0.0, 9.0]], dtype=torch.float64)
    wrong = torch.tensor([[9.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    targets = Targets(torch.tensor([[3]]), torch.tensor([[0]]), right)
    assert kind.sign * kind(right, targets).item() > kind.sign * kind(wrong, targets).item()
    assert ("higher:" if kind.sign == 1 else "lower:") in kind.meaning


@pytest.mark.parametrize("kind", [k for k in all_metrics() if not k.needs_vocabulary], ids=by_name)
def test_answer_columns_alone_give_the_same_number(kind: AbstractMetric) -> None:
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    batch = PromptBatch(tokens, tokens, torch.tensor([2, 2]), TARGETS.answers, TARGETS.distractors, torch.arange(2))
    columns = batch.columns()
    few = LOGITS.gather(-1, columns.tokens)
    reindexed = Targets(columns.answers, columns.distractors, TARGETS.reference.gather(-1, columns.tokens))
    torch.testing.assert_close(kind(few, reindexed), kind(LOGITS, TARGETS), rtol=0, atol=0)


def test_probabilities_stay_finite_at_extreme_logits() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4, 0.0]], requires_grad=True)
    targets = Targets(torch.tensor([[2]]), torch.tensor([[0]]), -logits.detach())
    for kind in differentiable():
        values = kind(logits, targets)
        (gradient,) = torch.autograd.grad(values.sum(), logits)
        assert values.isfinite().all(), kind.name
        assert gradient.isfinite().all(), kind.name


def test_the_names_that_need_no_torch_are_those_of_the_metrics() -> None:
    assert tuple(metric(name).name for name in metric_names()) == metric_names()
    ours = [kind.name for kind in AbstractMetric.__subclasses__() if kind.__module__ == "acdc.tasks.metrics"]
    assert sorted(ours) == sorted(metric_names())


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownMetric, match=r"got 'logit_dif', .* did you mean 'logit_difference'"):
        metric("logit_dif")


@pytest.mark.parametrize(
    ("alias", "name"), [("logit_diff", "logit_difference"), ("prob_diff", "probability_difference"), ("kl_div", "kl")]
)
def test_a_metric_goes_by_the_names_that_others_give_it(alias: str, name: str) -> None:
    assert metric(alias).name == name
    assert alias not in metric_names()


@pytest.mark.parametrize("name", ["answers", "distractors"])
def test_a_prompt_without_answers_or_distractors_cannot_be_measured(name: str) -> None:
    sides = {"answers": torch.tensor([[1], [2]]), "distractors": torch.tensor([[0], [0]])}
    sides[name] = torch.tensor([[1], [-1]])
    with pytest.raises(TaskError, match=f"prompts without {name} cannot be measured: got none for prompt 1"):
        Targets(**sides, reference=LOGITS)
