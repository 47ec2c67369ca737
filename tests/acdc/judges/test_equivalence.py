"""The sign test and TOST by hand, and on circuits that are or are not the model."""

from __future__ import annotations

import numpy
import pytest
from scipy.stats import binom, t

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.judges.equivalence import compare, equivalence, sign_test, two_one_sided
from acdc.problem import Problem


def test_the_sign_test_counts_prompts_and_not_how_far_they_are_apart() -> None:
    model = numpy.zeros(20)
    near, far = (numpy.where(numpy.arange(20) < 18, size, -size) for size in (0.5, 50.0))
    one, other = (compare(model, circuit, 1.0) for circuit in (near, far))
    signs = one.sign_test
    assert (signs.above, signs.below, signs.equal) == (18, 2, 0)
    assert (
        one.sign_test.p_value == other.sign_test.p_value == pytest.approx(binom.sf(17, 20, 0.6) + binom.cdf(2, 20, 0.6))
    )
    assert one.tost.p_value != other.tost.p_value


def test_few_prompts_favour_the_circuit_in_the_sign_test_and_not_in_tost() -> None:
    few = compare(numpy.zeros(4), numpy.array([3.0, 2.0, 4.0, 3.0]), 1.0)
    assert few.sign_test.p_value > 0.05, "four of four prompts say nothing"
    assert few.tost.p_value > 0.5
    assert sign_test(40, 0, 0) < 1e-6


def test_prompts_that_score_the_same_speak_for_neither_side() -> None:
    assert sign_test(1, 0, 39) == pytest.approx(sign_test(20, 20, 0), abs=0.05)
    assert sign_test(0, 0, 40) == 1.0


def test_tost_is_the_worse_of_two_t_tests() -> None:
    change = numpy.array([0.1, -0.2, 0.3, 0.0, 0.2])
    error = change.std(ddof=1) / numpy.sqrt(5)
    wanted = max(t.sf((change.mean() + 0.5) / error, 4), t.cdf((change.mean() - 0.5) / error, 4))
    assert two_one_sided(change, 0.5) == pytest.approx(wanted)
    assert two_one_sided(change + 0.5, 0.5) > 0.5 < two_one_sided(change - 0.9, 0.5)
    assert [two_one_sided(numpy.full(5, shift), 0.5) for shift in (0.4, 0.6, -0.6)] == [0, 1, 1]


def test_the_whole_model_is_alike_and_no_edge_is_not(measurable: Problem) -> None:
    same, none = (equivalence(measurable, make(measurable.graph)) for make in (Circuit.full, Circuit.empty))
    full, empty = measurable.bounds
    assert (same.sign_test.equal, same.sign_test.p_value) == (6, 1.0)
    assert same.tost.p_value < 0.05 < none.tost.p_value
    assert none.tost.difference == pytest.approx(empty - full)
    assert same.tost.margin == pytest.approx(0.1 * (full - empty))


def test_one_prompt_is_refused() -> None:
    with pytest.raises(BadSetting):
        compare(numpy.zeros(1), numpy.zeros(1), 1.0)
