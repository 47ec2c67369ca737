"""Goals outside their range are refused, with the range."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from acdc.errors import BadSetting
from acdc.goals import Edges, KeptFaithfulness, Threshold


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf])
def test_thresholds_are_positive_and_finite(value: float) -> None:
    with pytest.raises(BadSetting, match=rf"the threshold is {value}; wanted a positive number"):
        Threshold(value)


@pytest.mark.parametrize("count", [0, -3])
def test_a_circuit_has_an_edge(count: int) -> None:
    with pytest.raises(BadSetting, match=f"of {count} edges does nothing; wanted at least 1"):
        Edges(count)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, 90.0, math.nan])
def test_fractions_are_above_0_and_at_most_1(fraction: float) -> None:
    with pytest.raises(BadSetting, match=rf"is {fraction}; wanted a fraction above 0 and at most 1"):
        KeptFaithfulness(fraction)


def test_the_ends_of_the_ranges_are_in_them() -> None:
    assert KeptFaithfulness(1.0).fraction == 1.0
    assert Edges(1).count == 1
    assert Threshold(math.nextafter(0, 1)).value > 0


def test_without_a_fraction_nine_tenths_are_kept() -> None:
    assert KeptFaithfulness() == replace(KeptFaithfulness(0.5), fraction=0.9)
