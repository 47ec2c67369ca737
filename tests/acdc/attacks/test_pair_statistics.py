"""Percentiles, intervals and strata of crossed values, worked out by hand or the long way."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from acdc.attacks.pair_statistics import Crossed, SlotWord


def table(values: NDArray[np.float64]) -> Crossed:
    """The values of all pairs, a row for every clean prompt and a column for every corrupt one."""
    clean, corrupt = np.indices(values.shape)
    return Crossed.of(values.ravel(), clean.ravel(), corrupt.ravel(), len(values))


def drawn(count: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 1, (count, 1)) + rng.gamma(2, 1, (1, count)) + rng.gamma(1, 1, (count, count))


def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    values = np.arange(1, 101, dtype=float)
    np.random.default_rng(3).shuffle(values)
    mean, percentiles = table(values.reshape(10, 10)).spread((0.001, 0.01, 0.5, 0.505, 0.9, 0.99, 0.999), 0)
    assert [one.value.value for one in percentiles] == [1, 1, 50, 51, 90, 99, 100]
    assert [one.q for one in percentiles] == [0.001, 0.01, 0.5, 0.505, 0.9, 0.99, 0.999]
    assert mean.value == pytest.approx(50.5)


def test_intervals_are_those_of_tables_with_rows_and_columns_drawn_again() -> None:
    values, quantiles = drawn(7), (0.5, 0.9)
    rng, seen = np.random.default_rng(5), []
    for _ in range(200):
        rows, columns = (rng.multinomial(7, [1 / 7] * 7) for _ in range(2))
        again = np.sort(values.repeat(rows, 0).repeat(columns, 1).ravel())
        assert len(again) == 49
        seen.append([again.mean(), again[24], again[44]])  # the 25th and, as 44.1 of 49 are too few, the 45th
    low, high = np.percentile(seen, [2.5, 97.5], axis=0)
    mean, percentiles = table(values).spread(quantiles, 5, resamples=200)
    found = [mean, *(one.value for one in percentiles)]
    assert [one.low for one in found] == pytest.approx(low.tolist())
    assert [one.high for one in found] == pytest.approx(high.tolist())


def test_what_hangs_on_one_side_is_as_uncertain_as_its_prompts_are_few() -> None:
    each = np.random.default_rng(1).normal(size=40)
    wide = 2 * 1.96 * each.std() / 40**0.5
    for values in (np.tile(each, (40, 1)), np.tile(each[:, None], (1, 40))):
        mean, _ = table(values).spread((0.5,), 0)
        assert mean.high - mean.low == pytest.approx(wide, rel=0.15), "not as if 1,600 values were independent"


def test_what_is_the_same_everywhere_is_certain() -> None:
    mean, [median] = table(np.full((4, 4), 2.5)).spread((0.5,), 0)
    assert (mean.low, mean.high, median.value.low, median.value.high) == (2.5,) * 4


def test_intervals_hold_the_mean_of_all_pairs_as_often_as_they_say() -> None:
    held = 0
    for seed in range(100):
        mean, _ = table(drawn(20, seed)).spread((0.5,), seed, resamples=100)
        held += mean.low <= 5 <= mean.high
    assert 87 <= held <= 100, held


def test_resamples_without_a_pair_are_left_out() -> None:
    apart = Crossed.of(np.array([1.0, 3.0]), np.array([0, 1]), np.array([0, 1]), 2)
    mean, _ = apart.spread((0.5,), 0)
    assert (mean.low, mean.value, mean.high) == (1, 2, 3)


def test_the_greatest_passes_what_independent_pairs_would_pass() -> None:
    crossed = table(drawn(4))
    assert crossed.surely_passed(["one length"] * 10) == pytest.approx(0.05 ** (1 / 5))
    assert crossed.surely_passed([5, 5, 7, 5, 7, 7, 5]) == pytest.approx(0.05 ** (1 / 2))
    assert crossed.surely_passed([5, 7]) == 0


def test_strata_are_the_pairs_of_each_word_on_its_side() -> None:
    values = np.array([[1.0, 2.0, 9.0, 0.0], [3.0, 4.0, 9.0, 0.0], [0.0, 0.0, 0.0, 7.0], [0.0, 0.0, 5.0, 0.0]])
    words = ["cat", "cat", "dog", None]
    [clean] = table(values).strata("animal", words, "clean")
    assert clean.where == SlotWord("animal", "cat", "clean")
    assert (clean.count, clean.prompts, clean.mean.value, clean.p99, clean.max) == (8, 2, 3.5, 9, 9)
    [corrupt] = table(values).strata("animal", words, "corrupt")
    assert corrupt.where.side == "corrupt"
    assert (corrupt.count, corrupt.prompts, corrupt.mean.value, corrupt.max) == (8, 2, 1.25, 4)


def test_the_interval_of_a_word_adds_both_margins_and_is_wide_for_two_prompts() -> None:
    values, words = drawn(12), ["few"] * 2 + ["many"] * 10
    for side, ours in (("clean", values), ("corrupt", values.T)):
        for one, part, student in zip(
            table(values).strata("slot", words, side), (ours[:2], ours[2:]), (12.7062, 2.2622), strict=True
        ):
            rows, columns = part.mean(1), part.mean(0)
            variance = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
            mean = one.mean
            assert mean.value == pytest.approx(part.mean())
            assert mean.high - mean.value == pytest.approx(student * variance**0.5, rel=1e-4)
            assert mean.value - mean.low == pytest.approx(mean.high - mean.value)


def test_p99_of_a_word_is_the_99th_of_a_hundred() -> None:
    values = np.arange(400, dtype=float).reshape(20, 20)
    [first, second] = table(values).strata("slot", ["a"] * 5 + ["b"] * 15, "clean")
    assert (first.count, first.p99, second.count, second.p99) == (100, 98, 300, 396)
