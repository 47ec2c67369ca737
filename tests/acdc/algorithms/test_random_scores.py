"""Chance is a draw per edge: the same by seed, even from 0 to 1, whatever the behaviour."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest

from acdc.algorithms.random_scores import Chance
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from tests.acdc.algorithms.walks import ended, finished


def test_a_seed_is_a_draw_that_knows_nothing_of_the_behaviour(measurable: Problem) -> None:
    first = ended(Chance(3).walk(measurable))
    assert first == Circuit.full(measurable.graph)
    assert len(set(first.scores.values())) == len(first)
    other = replace(measurable, ablation=Ablation.ZERO, batching=Batching(1))
    assert ended(Chance(3).walk(other)).scores == first.scores
    assert not set(ended(Chance(4).walk(measurable)).scores.values()) & set(first.scores.values())


def test_draws_are_even(measurable: Problem) -> None:
    drawn = [score for seed in range(30) for score in ended(Chance(seed).walk(measurable)).scores.values()]
    counts, _ = numpy.histogram(drawn, bins=10, range=(0, 1))
    assert counts.sum() == len(drawn)
    assert counts == pytest.approx(len(drawn) / 10, rel=0.2)


def test_it_is_one_piece_of_work(measurable: Problem) -> None:
    assert finished(Chance().walk(measurable))[1] == [ScoringStep(1, 1)]
