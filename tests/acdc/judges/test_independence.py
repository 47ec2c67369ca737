"""HSIC as its definition has it, and what permuting the prompts says of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy
import pytest

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.judges.independence import independence, permuted
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence


def test_hsic_is_the_trace_of_the_centred_kernels() -> None:
    x, y = numpy.random.default_rng(0).normal(size=(2, 9))

    def kernel(values: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
        pairs = [abs(a - b) for a, b in itertools.combinations(values, 2)]
        return numpy.exp([[-((a - b) ** 2) / (2 * numpy.median(pairs) ** 2) for b in values] for a in values])

    centre = numpy.eye(9) - 1 / 9
    assert permuted(x, y, 10).hsic == pytest.approx(numpy.trace(kernel(x) @ centre @ kernel(y) @ centre) / 64)


def test_a_relation_that_no_correlation_shows_is_found() -> None:
    x = numpy.linspace(-1, 1, 41)
    assert abs(numpy.corrcoef(x, x**2)[0, 1]) < 1e-9
    assert permuted(x, x**2).p_value == 1 / 1001


def test_a_constant_score_depends_on_nothing() -> None:
    found = permuted(numpy.full(8, 0.3), numpy.arange(8.0), 50)
    assert (found.hsic, found.p_value) == (pytest.approx(0, abs=1e-12), 1.0)


def test_the_complement_of_nothing_is_the_model(measurable: Problem) -> None:
    rest_is_all = independence(measurable, Circuit.empty(measurable.graph), permutations=2000)
    assert rest_is_all.p_value < 0.05
    assert rest_is_all == independence(measurable, Circuit.empty(measurable.graph), permutations=2000)
    assert rest_is_all.p_value <= independence(measurable, Circuit.full(measurable.graph), permutations=2000).p_value


def test_where_the_metric_is_constant_the_logit_difference_is_tested(measurable: Problem) -> None:
    empty = Circuit.empty(measurable.graph)
    by_divergence = independence(replace(measurable, metric=KLDivergence()), empty)
    assert by_divergence == independence(measurable, empty)
    assert (by_divergence.metric, by_divergence.varies) == ("logit_difference", True)


def test_a_model_that_scores_every_prompt_alike_is_not_tested(measurable: Problem) -> None:
    one = replace(measurable, pairs=measurable.pairs.select([0, 0, 0, 1, 1, 1]))
    assert independence(one, Circuit.empty(one.graph)).varies
    same = replace(measurable, pairs=measurable.pairs.select([0] * 6))
    same.__dict__["bounds"] = (1.0, 0.0)
    assert not independence(same, Circuit.empty(same.graph)).varies


def test_no_permutation_is_refused() -> None:
    with pytest.raises(BadSetting):
        permuted(numpy.zeros(5), numpy.zeros(5), 0)
