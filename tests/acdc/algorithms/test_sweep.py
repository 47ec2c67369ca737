"""A sweep of thresholds ends in what its goal promises, and shows every run on the way."""

from __future__ import annotations

from dataclasses import replace

import jaxtyping
import pytest

from acdc.algorithms import sweep
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.sweep import Progress, Swept, ThresholdSweep
from acdc.errors import UnmeasurableBehaviour, UnreachableGoal
from acdc.goals import Edges, Goal, KeptFaithfulness, Threshold
from acdc.problem import Problem
from graphs.ablation import Ablation
from tasks.metrics import KLDivergence


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shape checks, which would take longer than the many runs that they check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def swept(problem: Problem, goal: Goal) -> tuple[Swept, list[Progress]]:
    walk, met = ThresholdSweep(goal).walk(problem), []
    while True:
        try:
            met.append(next(walk))
        except StopIteration as stop:
            return stop.value, met


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_the_smallest_circuit_that_keeps_the_fraction_is_chosen(measurable: Problem, fraction: float) -> None:
    problem = replace(measurable, metric=KLDivergence())
    found, _ = swept(problem, KeptFaithfulness(fraction))
    assert found.chosen.faithfulness >= fraction
    assert 0 < found.chosen.edges < problem.graph.n_edges
    smaller = [point for point in found.curve if point.edges < found.chosen.edges]
    assert smaller
    assert all(point.faithfulness < fraction for point in smaller)


def test_the_most_faithful_circuit_of_at_most_so_many_edges_is_chosen(measurable: Problem) -> None:
    found, _ = swept(measurable, Edges(20))
    assert 0 < len(found.circuit) <= 20
    assert any(point.edges > 20 for point in found.curve), "the sweep must not stop before the limit"
    assert found.chosen.faithfulness == max(p.faithfulness for p in found.curve if 0 < p.edges <= 20)


def test_a_threshold_is_one_run_of_greedy_pruning(measurable: Problem) -> None:
    threshold = 0.3
    found, met = swept(measurable, Threshold(threshold))
    alone = GreedyPruning(threshold).discover(measurable)
    assert found.curve == (found.chosen,)
    assert found.chosen.threshold == threshold
    assert found.pruned == alone
    assert {progress.run for progress in met} == {1}
    assert met[-1].kept == len(alone.circuit)


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN])
def test_the_chosen_circuit_has_no_dead_edges_and_is_as_faithful_as_said(
    measurable: Problem, ablation: Ablation
) -> None:
    problem = replace(measurable, ablation=ablation)
    found, _ = swept(problem, Threshold(0.3))
    assert found.circuit == found.circuit.pruned(ablation) == found.pruned.circuit.pruned(ablation)
    assert found.chosen.edges == len(found.circuit)
    assert set(found.circuit.scores) == set(found.circuit.edges)
    full, none = problem.bounds
    mean = float(problem.measure([found.circuit]).mean())
    assert found.chosen.faithfulness == pytest.approx((mean - none) / (full - none))


def test_the_curve_holds_every_run_by_falling_threshold(measurable: Problem) -> None:
    found, met = swept(measurable, KeptFaithfulness(0.8))
    thresholds = [point.threshold for point in found.curve]
    assert thresholds == sorted(thresholds, reverse=True)
    ran = dict.fromkeys((progress.run, progress.threshold) for progress in met)
    assert [number for number, _ in ran] == list(range(1, len(found.curve) + 1))
    assert {threshold for _, threshold in ran} == set(thresholds)
    tested = {progress.threshold: progress.tested for progress in met}
    assert {point.threshold: point.tested for point in found.curve} == tested
    assert found.chosen in found.curve


def test_thresholds_halve_from_half_the_effect_and_then_close_in(measurable: Problem) -> None:
    found, met = swept(measurable, KeptFaithfulness(0.8))
    tried = list(dict.fromkeys(progress.threshold for progress in met))
    full, none = measurable.bounds
    halvings, refinements = tried[:-3], tried[-3:]
    assert halvings == pytest.approx([abs(full - none) / 2 ** (step + 1) for step in range(len(halvings))])
    reached = [point.threshold for point in found.curve if point.faithfulness >= 0.8]
    assert halvings[-1] in reached
    assert halvings[-2] not in reached
    assert all(halvings[-1] < threshold < halvings[-2] for threshold in refinements)


def test_progress_goes_through_every_receiver_of_every_run(measurable: Problem) -> None:
    _, met = swept(measurable, Edges(20))
    total = len(measurable.graph.receivers)
    for run in {progress.run for progress in met}:
        assert [progress.done for progress in met if progress.run == run] == list(range(1, total + 1))
    assert {progress.total for progress in met} == {total}


def test_a_fraction_that_no_run_keeps_is_told_with_the_best(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_HALVINGS", 3)
    problem = replace(measurable, metric=KLDivergence())
    walk = ThresholdSweep(KeptFaithfulness(1.0)).walk(problem)
    runs: set[int] = set()
    with pytest.raises(UnreachableGoal, match=r"no circuit keeps 100% of the behaviour: got at most \d+% down to"):
        runs.update(progress.run for progress in walk)
    assert runs == {1, 2, 3}, "with nothing to close in on there is nothing more to run"


def test_too_few_edges_are_told_with_the_smallest_circuit(measurable: Problem) -> None:
    walk = ThresholdSweep(Edges(1)).walk(measurable)
    with pytest.raises(UnreachableGoal, match=r"of at most 1 edges was found: the smallest has \d+; ask for more"):
        list(walk)


def test_a_behaviour_that_ablation_does_not_touch_is_refused_before_any_run(measurable: Problem) -> None:
    pairs = tuple(replace(pair, corrupt=pair.clean) for pair in measurable.pairs.pairs)
    blind = replace(measurable, pairs=replace(measurable.pairs, pairs=pairs))
    with pytest.raises(UnmeasurableBehaviour):
        next(ThresholdSweep(Threshold(0.1)).walk(blind))
