"""A setup takes names and values alike, and refuses what it cannot measure with."""

from __future__ import annotations

import pytest
import torch

from acdc.errors import BadSetting
from acdc.setup import DTYPES, Setup
from graphs.ablation import Ablation
from tasks.errors import UnknownMetric


@pytest.mark.parametrize("ablation", Ablation)
def test_an_ablation_goes_by_its_name_too(ablation: Ablation) -> None:
    assert Setup(ablation=ablation.value) == Setup(ablation=ablation)
    assert Setup(ablation=ablation.value).ablation is ablation


def test_an_unknown_ablation_is_told_the_known_ones() -> None:
    with pytest.raises(
        BadSetting, match=r"unknown ablation 'median'; wanted one of resample, mean, mean-positional, zero"
    ):
        Setup(ablation="median")


def test_an_unknown_metric_is_told_the_nearest() -> None:
    with pytest.raises(UnknownMetric, match="did you mean 'logit_difference'"):
        Setup(metric="logit_diference")


@pytest.mark.parametrize("dtype", DTYPES)
def test_precisions_are_those_of_torch(dtype: str) -> None:
    assert str(Setup(dtype=dtype).torch_dtype) == f"torch.{dtype}"
    assert torch.zeros(1, dtype=Setup(dtype=dtype).torch_dtype).is_floating_point()


@pytest.mark.parametrize("dtype", ["int8", "float", "Tensor"])
def test_a_dtype_that_is_no_precision_is_refused(dtype: str) -> None:
    with pytest.raises(BadSetting, match=rf"unknown dtype '{dtype}'; wanted one of float64"):
        Setup(dtype=dtype)


@pytest.mark.parametrize("prompts", [1, 0, -4])
def test_fewer_than_two_prompts_are_refused(prompts: int) -> None:
    with pytest.raises(BadSetting, match=f"{prompts} prompts are too few; wanted at least 2"):
        Setup(prompts=prompts)


def test_a_metric_is_stored_by_its_own_name() -> None:
    assert Setup(metric="prob_diff") == Setup(metric="probability_difference")
    assert Setup(metric="kl_div").metric == "kl"


def test_more_prompts_than_can_be_drawn_in_hours_are_refused_at_once() -> None:
    with pytest.raises(BadSetting, match="999,999,999 prompts are too many; wanted at most 100,000"):
        Setup(prompts=999_999_999)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(BadSetting, match="the seed is -1"):
        Setup(seed=-1)
