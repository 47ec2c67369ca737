"""A sweep of thresholds ends in what its goal promises, and shows every run on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.grouped import GroupedPruning
from acdc.discovery import threshold_sweep as sweep
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.drain import drain
from acdc.errors import UnmeasurableBehaviour, UnreachableGoal
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import Progress, SearchSummary
from acdc.settings import Edges, Goal, KeptFaithfulness, Threshold
from acdc.tasks.metrics import KLDivergence


def search(goal: Goal) -> ThresholdSweep:
    return ThresholdSweep(goal, GreedyPruning(1.0))


Swept = tuple[Circuit, SearchSummary, list[Progress]]
"""What a sweep ends in, and all the progress it told of."""


def swept(problem: Problem, goal: Goal) -> Swept:
    walk, met = search(goal).walk(problem), []
    while True:
        try:
            met.append(next(walk))
        except StopIteration as stop:
            return *stop.value, met


@pytest.fixture(scope="module")
def kept_most(single_batch: Problem) -> Swept:
    """The sweep for a circuit that keeps 80% of the behaviour."""
    return swept(single_batch, KeptFaithfulness(0.8))


@pytest.fixture(scope="module")
def kept_small(single_batch: Problem) -> Swept:
    """The sweep for a circuit of at most 20 edges."""
    return swept(single_batch, Edges(20))


def stages(met: list[Progress]) -> list[str]:
    return list(dict.fromkeys(progress.stage for progress in met))


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_the_smallest_circuit_that_keeps_the_fraction_is_chosen(single_batch: Problem, fraction: float) -> None:
    problem = replace(single_batch, metric=KLDivergence())
    circuit, summary, _ = swept(problem, KeptFaithfulness(fraction))
    assert summary.chosen.faithfulness >= fraction
    assert 0 < len(circuit) == summary.chosen.edges < problem.graph.n_edges
    smaller = [point for point in summary.curve if point.edges < len(circuit)]
    assert smaller
    assert all(point.faithfulness < fraction for point in smaller)


def test_the_most_faithful_circuit_of_at_most_so_many_edges_is_chosen(kept_small: Swept) -> None:
    circuit, summary, _ = kept_small
    assert 0 < len(circuit) == summary.chosen.edges <= 20
    assert any(point.edges > 20 for point in summary.curve), "the sweep must not stop before the limit"
    assert summary.chosen.faithfulness == max(p.faithfulness for p in summary.curve if 0 < p.edges <= 20)


def test_a_threshold_is_one_run_of_greedy_pruning(single_batch: Problem) -> None:
    threshold = 0.3
    circuit, summary, met = swept(single_batch, Threshold(threshold))
    alone = GreedyPruning(threshold).discover(single_batch)
    assert summary.curve == (summary.chosen,)
    assert (summary.chosen.threshold, summary.chosen.tested) == (threshold, alone.tested)
    assert circuit == alone.circuit.pruned()
    assert circuit.scores.items() <= alone.circuit.scores.items()
    assert len(stages(met)) == 1
    assert met[-1].kept == len(alone.circuit)


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN])
def test_the_chosen_circuit_has_no_dead_edges_and_is_as_faithful_as_said(
    measurable: Problem, ablation: Ablation
) -> None:
    problem = replace(measurable, ablation=ablation)
    circuit, summary, _ = swept(problem, Threshold(0.3))
    assert circuit == circuit.pruned()
    assert circuit == GreedyPruning(0.3).discover(problem).circuit.pruned()
    assert summary.chosen.edges == len(circuit) > 0
    assert set(circuit.scores) == set(circuit.edges)
    full, none = problem.bounds
    mean = float(problem.measure([circuit]).mean())
    assert summary.chosen.faithfulness == pytest.approx((mean - none) / (full - none))


def test_the_curve_holds_every_run_by_falling_threshold(kept_most: Swept) -> None:
    _, summary, met = kept_most
    thresholds = [point.threshold for point in summary.curve]
    assert thresholds == sorted(set(thresholds), reverse=True)
    assert len(thresholds) == len(stages(met))
    for number, stage in enumerate(stages(met), start=1):
        assert any(stage == f"run {number} · threshold {threshold:.3g}" for threshold in thresholds)
    assert summary.chosen in summary.curve


def test_thresholds_halve_from_half_the_effect_and_then_close_in(single_batch: Problem, kept_most: Swept) -> None:
    _, summary, met = kept_most
    tried = [float(stage.split()[-1]) for stage in stages(met)]
    full, none = single_batch.bounds
    halvings, refinements = tried[:-3], tried[-3:]
    assert halvings == pytest.approx([abs(full - none) / 2 ** (step + 1) for step in range(len(halvings))], rel=0.01)
    reached = [float(f"{point.threshold:.3g}") for point in summary.curve if point.faithfulness >= 0.8]
    assert halvings[-1] in reached
    assert halvings[-2] not in reached
    assert all(halvings[-1] < threshold < halvings[-2] for threshold in refinements)


def test_progress_goes_through_every_receiver_of_every_run(single_batch: Problem, kept_small: Swept) -> None:
    _, _, met = kept_small
    total = len(single_batch.graph.receivers)
    assert len(stages(met)) > 1
    for stage in stages(met):
        done = [progress.done for progress in met if progress.stage == stage]
        assert done == list(range(done[0], total + 1)), "from where an earlier run decides otherwise"
    assert met[0].done == 1
    assert {progress.total for progress in met} == {total}


def test_a_fraction_that_no_run_keeps_is_told_with_the_best(
    single_batch: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_HALVINGS", 3)
    problem = replace(single_batch, metric=KLDivergence())
    walk = search(KeptFaithfulness(1.0)).walk(problem)
    met: list[Progress] = []
    with pytest.raises(UnreachableGoal, match=r"no circuit keeps 100% of the behaviour .*: got at most \d+% down to"):
        met.extend(walk)
    assert len(stages(met)) == 3, "with nothing to close in on there is nothing more to run"


def test_too_few_edges_are_told_with_the_smallest_circuit(single_batch: Problem) -> None:
    walk = search(Edges(1)).walk(single_batch)
    with pytest.raises(UnreachableGoal, match=r"of at most 1 edges was found: the smallest has \d+; ask for more"):
        list(walk)


def test_a_behaviour_that_ablation_does_not_touch_is_refused_before_any_run(single_batch: Problem) -> None:
    pairs = tuple(replace(pair, corrupt=pair.clean) for pair in single_batch.pairs.pairs)
    blind = replace(single_batch, pairs=replace(single_batch.pairs, pairs=pairs))
    with pytest.raises(UnmeasurableBehaviour):
        next(search(Threshold(0.1)).walk(blind))


def test_ranking_once_for_all_thresholds_changes_no_circuit(
    single_batch: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked: list[Problem] = []
    ranking = GroupedPruning.ranking

    def counted(pruning: GroupedPruning, problem: Problem) -> Any:
        ranked.append(problem)
        return ranking(pruning, problem)

    monkeypatch.setattr(GroupedPruning, "ranking", counted)
    done: list[Progress] = []
    drain(ThresholdSweep(KeptFaithfulness(0.8), GroupedPruning(1.0)).walk(single_batch), done.append)
    assert len(ranked) == 1
    runs = done[-1].state["runs"] if done[-1].state else []
    assert len(runs) > 2
    for run in runs:
        alone = drain(GroupedPruning(run["point"]["threshold"]).walk(single_batch)).circuit.pruned()
        assert run["edges"] == {edge.name: alone.scores[edge] for edge in alone.ordered()}
