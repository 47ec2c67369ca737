"""How much work a method is grows with what is asked of it."""

from __future__ import annotations

import pytest

from acdc.algorithms import closing_order, learned_masks, prices
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.redundant_patching import RedundantPatching
from acdc.algorithms.stable_signs import StableSigns
from acdc.cost import prediction, work
from acdc.cost.operations import Operations
from acdc.cost.work import GRADIENTS, refining, runs_in, work_of
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.shapes import ModelShape
from acdc.methods import METHODS, PRUNING, SCORING
from acdc.settings import Edges, Goal, KeptAccuracy, KeptFaithfulness, MeanKL, Method, Minutes, Threshold

SHAPE = ModelShape(ComputationalGraph(30, 9, 576), 134_515_008, 26_542_080, 79_626_240, 64, 49_152)
OPERATIONS = Operations(SHAPE, 304, 19, 16, 49_152)


@pytest.mark.parametrize("goal", [Threshold(0.1), Edges(50), KeptFaithfulness(), KeptAccuracy(), MeanKL(1), Minutes()])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_some_work_for_every_goal(method: str, goal: Goal) -> None:
    work = work_of(Method(method), goal, OPERATIONS, "kl")
    assert min(work.passes, work.operations) > 0
    assert work.spread > 1
    assert bool(work.runs) == (method in PRUNING)


@pytest.mark.parametrize("method", PRUNING)
def test_more_pruning_is_more_work(method: str) -> None:
    falling = [work_of(Method(method), Threshold(value), OPERATIONS, "kl") for value in (0.5, 0.1, 0.02)]
    assert [work.runs for work in falling] == [1, 1, 1]
    assert falling[0].operations < falling[1].operations < falling[2].operations
    series = [work_of(Method(method), KeptFaithfulness(kept), OPERATIONS, "kl") for kept in (0.5, 0.9)]
    assert 1 < series[0].runs < series[1].runs
    assert series[0].operations < series[1].operations
    refined = work_of(Method(method, refine=True), Threshold(0.1), OPERATIONS, "kl").operations
    assert (refined > falling[1].operations) == (method not in ("eap+acdc", "coarse"))


@pytest.mark.parametrize("method", SCORING)
@pytest.mark.parametrize("goal", [Edges(50), KeptFaithfulness(), Threshold(0.1), Minutes()])
def test_refining_a_scored_circuit_is_more_work(method: str, goal: Goal) -> None:
    plain, refined = (work_of(Method(method, refine=refine), goal, OPERATIONS, "kl") for refine in (False, True))
    assert refined.operations == plain.operations + refining(Method(method, refine=True), goal, OPERATIONS)
    assert refined.operations > plain.operations
    assert refining(Method(method), goal, OPERATIONS) == 0


def test_more_points_on_a_path_are_more_work() -> None:
    few, many = (work_of(Method("eap-ig", steps=steps), Edges(50), OPERATIONS, "kl") for steps in (5, 50))
    assert (few.passes, many.passes) == (5, 50)
    assert 5 < many.operations / few.operations < 10


def test_more_time_is_for_more_runs_and_one_is_always_begun() -> None:
    counts = [runs_in(seconds, Method("shortlist"), OPERATIONS, 1e11) for seconds in (-5.0, 60.0, 3600.0, 1e7)]
    assert counts == sorted(counts)
    assert counts[0] == 1 < counts[-1] <= 8


def test_the_methods_that_take_gradients_refuse_metrics_without() -> None:
    assert set(GRADIENTS) < set(METHODS)
    assert not {"acdc", "exact", "random", "information-flow"} & set(GRADIENTS)


def test_resamples_are_told_as_they_are_drawn() -> None:
    assert StableSigns().resamples + 1 == prediction._RESAMPLES


def test_removals_are_told_as_they_are_made() -> None:
    assert RedundantPatching().most == work._GONE


def test_learned_masks_are_told_as_they_are_set() -> None:
    """The forecast knows their settings without loading torch."""
    masks = LearnedMasks()
    assert work._SETTINGS[:3] == (masks.prices.steps, masks.prompts, learned_masks._POINTS)
    assert (work._RANKING, work._PER_PROMPT) == (learned_masks._RANKING, learned_masks._PER_PROMPT)
    for name in ("_FEWEST", "_PER_EDGE", "_BEYOND", "_ENOUGH", "_MANY"):
        assert getattr(work, name) == getattr(learned_masks, name), name
    assert (work._AGAIN, work._FEW, work._LOWER) == (closing_order.AGAIN, prices.FEW, prices.LOWER)
    assert masks.shortlist == work._SHORTLIST
    for goal, fewer in (
        (KeptFaithfulness(), masks),
        *((Edges(edges), masks.up_to(edges)) for edges in (10, 400, 2_000)),
    ):
        for edges in (100, 1_519, 10_342):
            trained = [fewer._for_all_sizes(edges), fewer._again(edges)]
            expected = [(of.prices.steps, of.shortlist / masks.shortlist) for of in trained if of]
            assert work._trainings(goal, edges) == expected, (goal, edges)
