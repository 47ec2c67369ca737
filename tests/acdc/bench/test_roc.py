"""Areas under ROCs, by hand and against plain counts over all pairs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from acdc.bench.roc import Roc, of_family, of_ranking

rankings = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: {true for _, true in rows} == {True, False}
)


@pytest.mark.parametrize(
    ("points", "pessimistic", "plain"),
    [
        ([], 0.0, 0.5),
        ([(0.5, 0.5)], 0.25, 0.5),
        ([(0.25, 0.25)], 0.25 * 0.75, 0.5),
        ([(0.0, 1.0)], 1.0, 1.0),
        ([(1.0, 0.0)], 0.0, 0.0),
        ([(0.0, 0.5), (0.5, 1.0)], 0.5 + 0.5 * 0.5, 0.5 * 0.75 + 0.5),
    ],
)
def test_areas_are_those_worked_out_by_hand(
    points: list[tuple[float, float]], pessimistic: float, plain: float
) -> None:
    roc = Roc.of(points)
    assert roc.pessimistic == pytest.approx(pessimistic)
    assert roc.plain == pytest.approx(plain)


def test_points_with_another_to_the_left_and_above_count_for_nothing() -> None:
    assert Roc.of([(0.1, 0.8), (0.4, 0.5), (0.4, 0.9)]).points == ((0, 0), (0.1, 0.8), (0.4, 0.9), (1, 1))


def test_points_inside_an_upright_or_a_level_stretch_are_left_out() -> None:
    points = [(0.0, 0.2), (0.0, 0.4), (0.0, 0.6), (0.2, 0.6), (0.5, 0.6), (0.7, 0.8)]
    assert Roc.of(points).points == ((0, 0), (0, 0.6), (0.5, 0.6), (0.7, 0.8), (1, 1))


@pytest.mark.parametrize("points", [((0.0, 0.0),), ((0.0, 0.0), (0.5, 0.6), (0.6, 0.5), (1.0, 1.0)), ()])
def test_points_that_do_not_rise_from_end_to_end_are_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match=r"make it with Roc\.of"):
        Roc(points)


def test_a_ranking_by_hand_with_a_tie_of_one_and_one() -> None:
    roc = of_ranking({"a": 9.0, "b": 5.0, "c": 5.0, "d": 1.0}, {"a", "c"})
    assert roc is not None
    assert roc.points == ((0, 0), (0, 0.5), (0.5, 1), (1, 1))
    assert (roc.pessimistic, roc.plain) == (0.75, 0.875)


@given(rankings)
def test_areas_under_a_ranking_count_pairs_with_ties_for_nothing_or_for_half(rows: list[tuple[int, bool]]) -> None:
    scores = {index: float(score) for index, (score, _) in enumerate(rows)}
    roc = of_ranking(scores, {index for index, (_, true) in enumerate(rows) if true})
    assert roc is not None
    right, wrong = ([score for score, true in rows if true is side] for side in (True, False))
    pairs = list(itertools.product(right, wrong))
    assert roc.pessimistic == pytest.approx(sum(a > b for a, b in pairs) / len(pairs))
    assert roc.plain == pytest.approx(float(mannwhitneyu(right, wrong).statistic) / len(pairs))


@given(rankings)
def test_the_sets_above_each_score_are_a_family_with_the_ranking_s_curve(rows: list[tuple[int, bool]]) -> None:
    scores = {index: float(score) for index, (score, _) in enumerate(rows)}
    true = {index for index, (_, one) in enumerate(rows) if one}
    above = [{index for index in scores if scores[index] >= level} for level in range(6)]
    assert of_family(above, true, set(scores)) == of_ranking(scores, true)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=12))
def test_the_staircase_is_never_above_the_straight_lines(points: list[tuple[float, float]]) -> None:
    roc = Roc.of(points)
    assert -1e-9 <= roc.pessimistic <= roc.plain + 1e-9 <= 1 + 2e-9


def test_a_family_by_hand() -> None:
    everything = set("abcdef")
    roc = of_family([{"a"}, {"b", "d"}, {"a", "b", "c"}], {"a", "b"}, everything)
    assert roc is not None
    assert roc.points == ((0, 0), (0, 0.5), (0.25, 0.5), (0.25, 1), (1, 1))
    assert roc.pessimistic == roc.plain == pytest.approx(0.5 * 0.25 + 0.75)


@pytest.mark.parametrize("true", [set(), {"a", "b"}])
def test_where_all_or_none_are_true_there_is_no_curve(true: set[str]) -> None:
    assert of_ranking({"a": 1.0, "b": 0.0}, true) is None
    assert of_family([{"a"}], true, {"a", "b"}) is None
