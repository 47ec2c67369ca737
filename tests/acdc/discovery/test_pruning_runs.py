"""Pruning at several thresholds: what walks share changes nothing of what they find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc.algorithms.greedy import GreedyPruning, WalkState
from acdc.algorithms.kl_bounds import KLScreen
from acdc.algorithms.trials import Trials
from acdc.discovery.pruning_runs import PruningRuns
from acdc.drain import drain
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric, KLDivergence, LogitDifference

PARTS = (0.2, 0.1, 0.05, 0.025, 0.035, 0.03, 0.0275)
"""Of the whole effect: thresholds that are halved, and closed in on."""


@pytest.mark.parametrize("metric", [LogitDifference(), KLDivergence()], ids=lambda metric: metric.name)
def test_walks_that_go_on_from_each_other_find_what_walks_from_the_beginning_find(
    single_batch: Problem, metric: AbstractMetric
) -> None:
    problem = replace(single_batch, metric=metric)
    full, none = problem.bounds
    runs, begun = PruningRuns(GreedyPruning(1.0), problem), list[int]()
    with pytest.MonkeyPatch.context() as patch:
        original = Trials.__init__

        def counted(trials: Trials, *given: object) -> None:
            begun.append(given[3])  # type: ignore[arg-type]  # receivers decided already
            original(trials, *given)  # type: ignore[arg-type]

        patch.setattr(Trials, "__init__", counted)
        found = {part: drain(runs.at(part * abs(full - none))) for part in PARTS}
    assert begun[0] == 0
    assert sum(at > 0 for at in begun) >= 3, "walks went on from earlier ones"
    for part, run in found.items():
        alone = GreedyPruning(part * abs(full - none)).discover(problem)
        circuit = alone.circuit.pruned()
        assert run.pruned.circuit.edges == circuit.edges, part
        assert dict(run.pruned.circuit.scores) == pytest.approx(dict(circuit.scores), rel=0, abs=1e-9)
        assert run.pruned.tested == alone.tested
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KLScreen, "suits", staticmethod(lambda problem: False))
            measured = GreedyPruning(part * abs(full - none)).discover(problem)
        assert 0 < run.pruned.closest <= measured.closest + 1e-9, "a bound tells no more than is known"


def test_a_position_holds_between_the_costs_around_its_threshold(single_batch: Problem) -> None:
    full, none = single_batch.bounds
    threshold = 0.1 * abs(full - none)
    last: list[WalkState] = []
    for step in GreedyPruning(threshold).walk(single_batch):
        last.append(step.position)  # type: ignore[union-attr]
    tally = last[-1].tally
    made, refused = tally.bounds
    assert made < threshold <= refused
    assert tally.holds(threshold)
    assert tally.holds(refused)
    assert not tally.holds(made)
    assert not tally.holds(refused * 1.001)
    assert tally.closest(threshold) == min(threshold - made, refused - threshold)
