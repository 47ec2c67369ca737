"""Counting random draws: a p-value is never 0, a tie is no win, and a proportion is what the binomial test is given."""

from __future__ import annotations

import numpy
import pytest
from scipy.stats import binom

from acdc.judges.rank_test import rank_test


def test_a_p_value_is_never_0() -> None:
    found = rank_test(2.0, numpy.zeros(1000))
    assert (found.beaten, found.of, found.p_value) == (1000, 1000, 1 / 1001)


def test_draws_that_are_equal_are_not_beaten_even_after_rounding() -> None:
    found = rank_test(1.0, numpy.array([1.0, 1.0 + 1e-9, 1.0 - 1e-9, 0.0]), rounding=1e-6)
    assert (found.beaten, found.p_value) == (1, 4 / 5)


def test_of_100_draws_96_wins_are_needed() -> None:
    def share(wins: int) -> float:
        return rank_test(0.5, numpy.array([0.0] * wins + [1.0] * (100 - wins))).p_share

    assert share(95) > 0.05 > share(96)


def test_the_size_of_the_lead_is_no_part_of_the_share() -> None:
    small, large = (rank_test(lead, numpy.array([0.0] * 93 + [1e9] * 7)) for lead in (1e4, 1e8))
    assert small.p_share == large.p_share == pytest.approx(binom.sf(92, 100, 0.9))
