"""Many estimates at once are those of the judge, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acdc.explain.estimates import means, plain, ratios, stacked
from acdc.judges.faithfulness import ratio_of_means


def test_ratios_and_their_intervals_are_those_of_the_judge() -> None:
    generator = torch.Generator().manual_seed(0)
    part, whole = (torch.randn(size, generator=generator).double() for size in ((2, 3, 9), (9,)))
    found = ratios(part, whole + 2, seed=5)
    for row in range(2):
        for column in range(3):
            wanted = ratio_of_means((whole + 2).numpy(), part[row, column].numpy(), np.zeros(9), 5)
            got = found.interval(row, column)
            assert (got.value, got.low, got.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-9)


def test_one_prompt_has_no_interval_and_none_at_all_no_estimate() -> None:
    one, none = means(torch.tensor([[3.0]])), means(torch.zeros(2, 0))
    assert one.value.tolist() == [3.0]
    assert one.to_json() == {"value": [3.0], "low": [None], "high": [None]}
    assert none.to_json()["value"] == [None, None]


def test_nothing_is_divided_by_zero() -> None:
    assert plain(ratios(torch.ones(1, 4), torch.zeros(4)).value) == [None]


def test_estimates_are_stacked_and_taken_apart() -> None:
    parts = [means(torch.full((2, 3), float(number))) for number in range(4)]
    assert stacked(parts).value.shape == (4, 2)
    assert stacked(parts)[2].value.tolist() == [2.0, 2.0]
