"""Settings take names and values alike, and refuse what cannot be measured, searched for or reached."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.settings import (
    DTYPES,
    GOALS,
    Compute,
    Edges,
    Goal,
    KeptAccuracy,
    KeptFaithfulness,
    MeanKL,
    Setup,
    Threshold,
    as_goal,
)
from acdc.tasks.errors import UnknownMetric


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
    assert str(Compute(dtype=dtype).torch_dtype) == f"torch.{dtype}"
    assert torch.zeros(1, dtype=Compute(dtype=dtype).torch_dtype).is_floating_point()


@pytest.mark.parametrize("dtype", ["int8", "float", "Tensor"])
def test_a_dtype_that_is_no_precision_is_refused(dtype: str) -> None:
    with pytest.raises(BadSetting, match=rf"unknown dtype '{dtype}'; wanted one of float64"):
        Compute(dtype=dtype)
    with pytest.raises(BadSetting, match=rf"unknown dtype '{dtype}'"):
        Setup().on(dtype=dtype)


def test_a_setup_on_another_device_changes_nothing_else() -> None:
    setup = Setup("kl", "zero", prompts=5, seed=2, only_correct=True).on(dtype="bfloat16")
    assert setup.on("cuda") == replace(setup, compute=Compute("cuda", "bfloat16"))
    assert setup.on("cuda").on(dtype="float64").compute == Compute("cuda", "float64")
    assert setup.on() == setup


@pytest.mark.parametrize("prompts", [1, 0, -4])
def test_fewer_than_two_prompts_are_refused(prompts: int) -> None:
    with pytest.raises(BadSetting, match=rf"{prompts} prompts? (is|are) too few; wanted at least 2"):
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


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf])
def test_thresholds_are_positive_and_finite(value: float) -> None:
    with pytest.raises(BadSetting, match=rf"the threshold is {value}; wanted a positive number"):
        Threshold(value)


@pytest.mark.parametrize("count", [0, -3])
def test_a_circuit_has_an_edge(count: int) -> None:
    with pytest.raises(BadSetting, match=f"of {count} edges does nothing; wanted at least 1"):
        Edges(count)


@pytest.mark.parametrize("kind", [KeptFaithfulness, KeptAccuracy])
@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, 90.0, math.nan])
def test_fractions_are_above_0_and_at_most_1(fraction: float, kind: type[KeptFaithfulness | KeptAccuracy]) -> None:
    with pytest.raises(BadSetting, match=rf"is {fraction}; wanted a fraction above 0 and at most 1"):
        kind(fraction)


@pytest.mark.parametrize("nats", [0.0, -0.5, math.nan, math.inf])
def test_a_divergence_is_positive_and_finite(nats: float) -> None:
    with pytest.raises(BadSetting, match=rf"is {nats}; wanted a positive number of nats"):
        MeanKL(nats)


def test_the_ends_of_the_ranges_are_in_them() -> None:
    assert KeptFaithfulness(1.0).fraction == 1.0
    assert Edges(1).count == 1
    assert Threshold(math.nextafter(0, 1)).value > 0


def test_without_a_fraction_nine_tenths_are_kept() -> None:
    assert KeptFaithfulness() == replace(KeptFaithfulness(0.5), fraction=0.9)


def test_every_kind_of_goal_is_read_by_its_name() -> None:
    assert set(GOALS) == {"Threshold", "Edges", "KeptFaithfulness", "MeanKL", "KeptAccuracy", "Minutes"}
    assert all(kind.__name__ == name for name, kind in GOALS.items())


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (0.1, KeptFaithfulness(0.1)),
        (1.0, KeptFaithfulness(1.0)),
        (np.float32(0.5), KeptFaithfulness(0.5)),
        (2, Edges(2)),
        (np.int64(50), Edges(50)),
        (MeanKL(0.1), MeanKL(0.1)),
        (Threshold(0.1), Threshold(0.1)),
    ],
)
def test_a_bare_number_is_a_fraction_or_a_number_of_edges(asked: Goal | float, meant: Goal) -> None:
    assert as_goal(asked) == meant


@pytest.mark.parametrize("asked", [0, 1, -3, 0.0, 1.5, 50.0, True, math.nan, "0.9", None])
def test_any_other_goal_is_refused_with_the_kinds_there_are(asked: Any) -> None:
    with pytest.raises(BadSetting, match=r"the goal is .*; wanted .*Threshold.*Edges.*KeptFaithfulness"):
        as_goal(asked)
