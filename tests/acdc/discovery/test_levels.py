"""A goal in nats or in accuracy is what it says, for pruning and for scored edges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc.algorithms.attribution import Attribution
from acdc.algorithms.greedy import GreedyPruning
from acdc.discovery.levels import LevelCheck, measured
from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.selection import Rule
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint
from acdc.settings import KeptAccuracy, KeptFaithfulness, Level, MeanKL
from acdc.tasks.metrics import Accuracy, KLDivergence
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import rescored


def levels(problem: Problem, circuit: Circuit) -> tuple[float, float]:
    """Mean KL from the model, and accuracy."""
    kl, accuracy = problem.measure([circuit], [KLDivergence(), Accuracy()]).mean(-1).flatten().tolist()
    return kl, accuracy


@pytest.mark.parametrize("method", ["pruning", "scoring"])
@pytest.mark.parametrize("goal", [MeanKL(0.05), KeptAccuracy(0.8)])
def test_the_circuit_reaches_the_level_and_the_smaller_ones_met_do_not(
    measurable: Problem, single_batch: Problem, goal: Level, method: str
) -> None:
    if method == "pruning":
        measurable = single_batch
        problem = replace(measurable, metric=KLDivergence())
        circuit, summary = ended(ThresholdSweep(goal, GreedyPruning(1.0)).walk(problem))
    else:
        circuit, summary = ended(ScoredSearch(goal, Attribution(), Rule.TOP).walk(measurable))
    kl, accuracy = levels(measurable, circuit)
    reached = kl <= 0.05 if isinstance(goal, MeanKL) else accuracy >= 0.8  # the model is always right here
    assert reached
    assert 0 < len(circuit) < measurable.graph.n_edges
    assert (summary.chosen.kl, summary.chosen.accuracy) == pytest.approx((kl, accuracy), abs=1e-9)
    smaller = [point for point in summary.curve if point.edges < len(circuit)]
    assert smaller
    bar = LevelCheck(goal, measurable)
    assert not any(bar.reached(point) for point in smaller)


def test_a_point_says_what_its_circuit_keeps(measurable: Problem) -> None:
    full = Circuit.full(measurable.graph)
    assert measured(measurable, full, 0.5, 7) == CurvePoint(0.5, len(full), 1.0, 7, pytest.approx(0, abs=1e-9), 1.0)


def test_accuracy_is_counted_from_the_model_s(measurable: Problem) -> None:
    """A model that is right on half of the prompts has a circuit of .9 of that."""
    pairs = list(measurable.pairs.pairs)
    swapped = [rescored(pair, answers=pair.distractors[:1], distractors=pair.answers) for pair in pairs[:3]]
    problem = replace(measurable, pairs=replace(measurable.pairs, pairs=(*swapped, *pairs[3:])))
    bar = LevelCheck(KeptAccuracy(0.9), problem)
    assert bar.reached(CurvePoint(1, 1, 0.0, 1, 9.0, 0.5))
    assert bar.reached(CurvePoint(1, 1, 0.0, 1, 9.0, 0.45))
    assert not bar.reached(CurvePoint(1, 1, 1.0, 1, 0.0, 0.44))


def test_a_model_that_is_never_right_has_no_accuracy_to_keep(measurable: Problem) -> None:
    wrong = tuple(rescored(p, answers=p.distractors[:1], distractors=p.answers) for p in measurable.pairs.pairs)
    with pytest.raises(UnreachableGoal, match=r"the model is right on none of the discovery prompts.*\(--model\)"):
        LevelCheck(KeptAccuracy(0.5), replace(measurable, pairs=replace(measurable.pairs, pairs=wrong)))


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (KeptFaithfulness(0.9), r"no circuit keeps 90% of the behaviour .*: got at most 60% down to .*; ask for less"),
        (MeanKL(0.1), r"within a KL of 0\.1 nats .*: got no nearer than 0\.3 nats down to .*\(--metric kl\)"),
        (KeptAccuracy(0.9), r"keeps 90% of the model's accuracy .*: got at most 50% down to .*\(--metric kl\)"),
    ],
)
def test_a_level_that_no_circuit_reaches_is_told_with_the_nearest(
    measurable: Problem, level: Level, words: str
) -> None:
    curve = (CurvePoint(1, 1, 0.1, 1, 0.5, 0.5), CurvePoint(0.5, 2, 0.6, 1, 0.3, 0.25))
    with pytest.raises(UnreachableGoal, match=words):
        LevelCheck(level, measurable).smallest(curve)
