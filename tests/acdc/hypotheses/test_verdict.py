"""A claim holds within its bounds, and one that does not is told with all that helps to see why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc.hypotheses.baselines import Baseline
from acdc.hypotheses.hypothesis import Bound, Claim, Hypothesis
from acdc.hypotheses.influential_edges import InfluentialEdge
from acdc.hypotheses.measuring import MeasuredClaim
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.verdict import Verdict, judge
from acdc.judges.faithfulness import Interval
from tests.acdc.hypotheses.files import EDGES
from tests.acdc.hypotheses.test_measuring import Made

CLAIM = Claim("faithfulness", Bound(low=0.85), "test_x.acdc.yaml:7")
MEASURED = MeasuredClaim(0.5, Interval(0.5, 0.4, 0.6))


@pytest.mark.parametrize(
    ("low", "high", "passed"),
    [
        (0.5, None, True),
        (0.51, None, False),
        (None, 0.5, True),
        (None, 0.49, False),
        (0.4, 0.6, True),
        (0.6, 0.7, False),
        (None, None, False),
    ],
)
def test_a_claim_holds_within_its_bounds(low: float | None, high: float | None, passed: bool) -> None:
    assert Verdict(CLAIM, MEASURED, low, high, None).passed is passed


def test_a_failure_tells_claim_value_interval_bound_and_the_influential_edges() -> None:
    influential = tuple(InfluentialEdge(f"input->m{number}", f"with it 0.{number}") for number in range(7))
    assert Verdict(CLAIM, MEASURED, 0.85, None, None, influential).message().splitlines() == [
        "test_x.acdc.yaml:7: the claim faithfulness does not hold",
        "  measured  0.5 (95% CI 0.4 to 0.6), the part of the behaviour that the circuit keeps",
        "  claimed   at least 0.85",
        "  edges     input->m0  with it 0.0",
        *(f"            input->m{number}  with it 0.{number}" for number in range(1, 5)),
        "            and 2 others",
    ]


def test_figures_leave_out_what_does_not_apply() -> None:
    assert Verdict(CLAIM, MeasuredClaim(3.0), None, 5.0, None).figures() == {
        "claim": "faithfulness",
        "value": 3.0,
        "at_most": 5.0,
    }


def judged(hypothesis: Hypothesis, model_cache: ModelCache, *, update: bool = False) -> Verdict:
    [claim] = hypothesis.claims
    return judge(hypothesis, claim, model_cache, update=update)


def test_without_a_baseline_a_claim_that_needs_one_fails(hypothesis: Made, model_cache: ModelCache) -> None:
    for claims in ("  size: {tolerance: 1}\n", "  edges: {tolerance: 0.1}\n", "  edges: {at_least: 0}\n"):
        verdict = judged(hypothesis(claims), model_cache)
        assert not verdict.passed
        assert (
            "near a baseline, and none is recorded\n  remedy    record it with `acdc test --update`"
            in verdict.message()
        )


@pytest.mark.parametrize(("recorded", "passed"), [(6.0, True), (5.0, True), (7.0, True), (4.9, False), (7.1, False)])
def test_a_value_may_be_as_far_from_its_baseline_as_the_tolerance(
    hypothesis: Made, model_cache: ModelCache, recorded: float, passed: bool
) -> None:
    held = replace(hypothesis("  size: {tolerance: 1}\n"), baselines={"size": Baseline(recorded)})
    verdict = judged(held, model_cache)
    assert verdict.passed is passed
    assert passed or "(within 1 of the recorded baseline)" in verdict.message()


def test_an_update_records_the_value_and_holds(hypothesis: Made, model_cache: ModelCache) -> None:
    held = replace(hypothesis("  size: {tolerance: 0}\n"), baselines={"size": Baseline(50.0)})
    verdict = judged(held, model_cache, update=True)
    assert verdict.passed
    assert verdict.recorded == Baseline(6.0)


def test_an_update_leaves_bounds_as_they_are(hypothesis: Made, model_cache: ModelCache) -> None:
    verdict = judged(hypothesis("  size: {at_most: 5}\n"), model_cache, update=True)
    assert (verdict.passed, verdict.recorded) == (False, None)


def test_the_edge_set_is_recorded_and_held_to(hypothesis: Made, model_cache: ModelCache) -> None:
    recorded = judged(hypothesis("  edges: {tolerance: 0.2}\n"), model_cache, update=True).recorded
    assert recorded is not None
    assert set(recorded.edges or ()) == set(EDGES)
    smaller = replace(hypothesis("  edges: {tolerance: 0.2}\n", f'["{EDGES[0]}"]'), baselines={"edges": recorded})
    verdict = judged(smaller, model_cache)
    assert (verdict.passed, verdict.low) == (False, 0.8)
    assert [edge.words for edge in verdict.influential] == ["lost"] * 5
    assert judged(smaller, model_cache, update=True).passed
