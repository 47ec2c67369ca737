"""Pruning by groups makes no removal that was not measured, and keeps no edge that was not put to the test alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import GreedyPruning, Pruned
from acdc.algorithms.grouped import Bisection, GroupedPruning
from acdc.algorithms.one_minimal import Swept
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric, KLDivergence, LogitDifference
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour

Grouped = tuple[Pruned, list[ScoringStep | Bisection | Swept]]
"""What pruning ends in, and all that it tells of on the way."""


@pytest.fixture(scope="module")
def problem(single_batch: Problem) -> Problem:
    return replace(single_batch, metric=KLDivergence())


def threshold_of(problem: Problem, fraction: float = 0.05) -> float:
    full, none = problem.bounds
    return abs(full - none) * fraction


@pytest.fixture(scope="module")
def grouped(problem: Problem) -> Grouped:
    return finished(GroupedPruning(threshold_of(problem)).walk(problem))


@dataclass
class Log:
    """Every circuit that was measured, in order, with its mean metric."""

    met: list[tuple[Circuit, float]] = field(default_factory=list)

    @classmethod
    def of(cls, monkeypatch: pytest.MonkeyPatch) -> Log:
        log, measure = cls(), Problem.measure

        def logged(problem: Problem, circuits: Any, metrics: Any = None) -> Any:
            values = measure(problem, circuits, metrics)
            log.met += zip(circuits, values[0].mean(-1).tolist(), strict=True)
            return values

        monkeypatch.setattr(Problem, "measure", logged)
        return log


@pytest.mark.parametrize(
    ("ablation", "measured"), [(Ablation.RESAMPLE, KLDivergence()), (Ablation.ZERO, LogitDifference())]
)
def test_every_removal_costs_less_than_the_threshold_and_every_kept_edge_at_least_that(
    two_lengths: Problem, monkeypatch: pytest.MonkeyPatch, measured: AbstractMetric, ablation: Ablation
) -> None:
    """Played back from what was measured alone: each circuit is the last one made, less some group."""
    problem = replace(two_lengths, metric=measured, ablation=ablation)
    threshold = threshold_of(problem)
    worse = -1 if isinstance(measured, LogitDifference) else 1
    log = Log.of(monkeypatch)
    pruned = ended(GroupedPruning(threshold).walk(problem))
    (now, value), *trials = log.met
    assert now == Circuit.full(problem.graph)
    put_to_the_test: dict[Edge, float] = {}
    for smaller, smaller_value in trials:
        assert smaller < now
        cost = worse * (smaller_value - value)
        if cost < threshold:
            now, value = smaller.pruned(), smaller_value
        elif len(now) - len(smaller) == 1:
            [edge] = now.edges - smaller.edges
            assert edge not in put_to_the_test
            put_to_the_test[edge] = cost
    assert pruned.circuit == now
    assert 0 < len(now) < problem.graph.n_edges
    assert pruned.circuit.scores == {edge: put_to_the_test[edge] for edge in now.edges}
    assert min(pruned.circuit.scores.values()) >= threshold
    assert pruned.tested == len(trials)
    assert 0 < pruned.closest < math.inf


def test_it_needs_fewer_trials_than_there_are_edges(measurable: Problem) -> None:
    problem = replace(measurable, metric=KLDivergence(), pairs=behaviour(measurable.model, (5, 7, 5, 7, 7, 5)))
    pruned = ended(GroupedPruning(threshold_of(problem, 0.1)).walk(problem))
    assert len(pruned.circuit) > 0
    assert pruned.tested < problem.graph.n_edges / 2


def test_its_order_is_that_of_signed_attribution(problem: Problem) -> None:
    scored = ended(IntegratedGradients("inputs", 3).walk(problem))
    ranked = [scored.scores[edge] for edge in GroupedPruning(0.1, steps=3).rank(problem)]
    assert ranked == sorted(scored.scores.values())
    assert ranked[0] < 0 < ranked[-1]


def test_the_first_group_is_everything_and_the_next_the_lower_half(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = GroupedPruning(threshold_of(problem))
    order, full = pruning.rank(problem), Circuit.full(problem.graph)
    log = Log.of(monkeypatch)
    walk = pruning.walk(problem)
    while len(log.met) < 3:
        next(walk)
    assert [circuit for circuit, _ in log.met[:3]] == [
        full,
        full.without(order),
        full.without(order[: len(order) // 2]),
    ]


def test_the_same_problem_gives_the_same_circuit_to_the_last_bit(problem: Problem, grouped: Grouped) -> None:
    again = finished(GroupedPruning(threshold_of(problem)).walk(problem))
    assert again == grouped
    assert again[0].circuit.scores == grouped[0].circuit.scores


def test_the_split_into_batches_changes_no_decision(problem: Problem, grouped: Grouped) -> None:
    whole, split = grouped[0], ended(GroupedPruning(threshold_of(problem)).walk(replace(problem, batching=Batching(2))))
    assert split.circuit == whole.circuit
    assert dict(split.circuit.scores) == pytest.approx(dict(whole.circuit.scores), rel=0, abs=1e-9)


def test_what_it_leaves_need_not_be_what_acdc_leaves(problem: Problem, grouped: Grouped) -> None:
    """The order of removals is another one, and the docs say so; both are still far below the whole model."""
    greedy = GreedyPruning(threshold_of(problem)).discover(problem)
    assert grouped[0].circuit != greedy.circuit
    assert grouped[0].circuit & greedy.circuit


def test_steps_lead_to_all_edges_decided(problem: Problem, grouped: Grouped) -> None:
    pruned, told = grouped
    ranked = [step for step in told if isinstance(step, ScoringStep)]
    assert (ranked[0].done, ranked[-1].done) == (1, ranked[-1].total)
    steps = [step for step in told if isinstance(step, Bisection)]
    decided = [step.decided for step in steps]
    assert decided == sorted(set(decided))
    assert decided[-1] == problem.graph.n_edges
    assert {step.total for step in steps} == {problem.graph.n_edges}
    assert steps[-1].tested == pruned.tested
    assert steps[-1].kept >= len(pruned.circuit)


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_a_threshold_that_separates_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(BadSetting, match="threshold"):
        GroupedPruning(threshold)
