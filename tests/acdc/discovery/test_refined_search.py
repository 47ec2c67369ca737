"""What is left of a scored circuit still meets the goal, and no single edge of it can go; checked by the executor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.random_scores import Chance
from acdc.algorithms.scores import AbstractScorer
from acdc.discovery.level_sweep import LevelSweep
from acdc.discovery.levels import LevelCheck
from acdc.discovery.refined_search import RefinedSearch
from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.search import search
from acdc.discovery.selection import Rule
from acdc.discovery.timed_search import TimedSearch
from acdc.errors import UnreachableGoal
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint
from acdc.settings import (
    Edges,
    KeptAccuracy,
    KeptFaithfulness,
    Level,
    MeanKL,
    Method,
    Minutes,
    Threshold,
    UntimedGoal,
)
from acdc.tasks.metrics import Accuracy, KLDivergence
from tests.acdc.algorithms.walks import ended, finished

LEVELS: tuple[tuple[Level, Ablation], ...] = (
    (KeptFaithfulness(0.5), Ablation.RESAMPLE),
    (KeptFaithfulness(0.9), Ablation.MEAN),
    (MeanKL(0.5), Ablation.RESAMPLE),
    (KeptAccuracy(1.0), Ablation.RESAMPLE),
)


def searches(goal: UntimedGoal, scorer: AbstractScorer) -> tuple[ScoredSearch, RefinedSearch]:
    scored = ScoredSearch(goal, scorer, Rule.TOP)
    return scored, RefinedSearch(scored)


def costs(problem: Problem, circuit: Circuit) -> list[float]:
    """What removing each edge alone costs in the metric."""
    without = [circuit.without([edge]) for edge in circuit.ordered()]
    now, *values = problem.measure([circuit, *without])[0].mean(-1).tolist()
    return [(now - value) * problem.metric.sign for value in values]


def points(problem: Problem, circuits: Sequence[Circuit]) -> list[CurvePoint]:
    """What `measured` says of each of them, measured together."""
    values = problem.measure(circuits, [problem.metric, KLDivergence(), Accuracy()]).mean(-1)
    kept = problem.normalised(values[0])
    rows = zip(circuits, kept.tolist(), *values[1:].tolist(), strict=True)
    return [CurvePoint(0.0, len(circuit), part, 0, kl, right) for circuit, part, kl, right in rows]


@pytest.mark.parametrize(("level", "ablation"), LEVELS, ids=str)
def test_a_level_is_kept_and_without_any_single_edge_it_is_not(
    measurable: Problem, level: Level, ablation: Ablation
) -> None:
    problem = replace(measurable, ablation=ablation)
    plain, refining = searches(level, IntegratedGradients("inputs", 2))
    before, at_first = ended(plain.walk(problem))
    circuit, summary = ended(refining.walk(problem))
    assert circuit <= before
    assert {circuit[edge] for edge in circuit} <= {before[edge] for edge in before}
    bar = LevelCheck(level, problem)
    whole, *fewer = points(problem, [circuit, *(circuit.without([edge]) for edge in circuit)])
    assert bar.reached(whole)
    assert not any(map(bar.reached, fewer))
    assert summary.figures["one_minimal"] is True
    assert summary.figures["refined"]["edges_before"] == len(before)
    assert summary.figures["refined"]["tested"] >= len(before)
    assert (summary.chosen.edges, summary.chosen.tested) == (len(circuit), summary.figures["refined"]["tested"])
    assert summary.chosen in summary.curve
    assert len(summary.curve) == len(at_first.curve) + (circuit != before)


def test_scores_alone_leave_edges_that_can_go(measurable: Problem) -> None:
    """So that the sweeps have something to do."""
    for plain, refining in (searches(goal, Chance(0)) for goal in (KeptFaithfulness(0.5), Edges(60))):
        assert ended(refining.walk(measurable))[0] < ended(plain.walk(measurable))[0]


@pytest.mark.parametrize("goal", [Edges(25), Edges(60), Threshold(0.05)], ids=str)
def test_every_edge_of_a_number_costs_something_and_above_a_threshold_as_much(
    measurable: Problem, goal: Edges | Threshold
) -> None:
    problem = replace(measurable, metric=KLDivergence())
    plain, refining = searches(goal, IntegratedGradients("inputs", 2))
    before, at_first = ended(plain.walk(problem))
    circuit, summary = ended(refining.walk(problem))
    assert circuit <= before
    least = goal.value if isinstance(goal, Threshold) else problem.rounding
    assert min(costs(problem, circuit)) >= least - 1e-9
    assert summary.figures["refined"]["within"] == {"threshold": least}
    if isinstance(goal, Edges):
        assert len(circuit) <= goal.count
        assert summary.chosen.faithfulness >= at_first.chosen.faithfulness - 1e-6


def test_memory_changes_no_decision(measurable: Problem) -> None:
    circuit, _ = ended(ScoredSearch(KeptFaithfulness(0.9), Attribution(), Rule.TOP).walk(measurable))
    roomy, cramped = (ended(LevelSweep(KeptFaithfulness(0.9), room).walk(measurable, circuit)) for room in (1 << 30, 1))
    assert roomy.circuit == cramped.circuit
    assert roomy.tested == cramped.tested


@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_minutes_are_refined_to_their_fraction_where_it_is_kept_and_else_to_what_costs_something(
    measurable: Problem, fraction: float
) -> None:
    goal = Minutes(5, fraction, few=100)
    scored = TimedSearch(goal, IntegratedGradients("inputs", 2))
    before, at_first = ended(scored.walk(measurable))
    circuit, summary = ended(RefinedSearch(scored).walk(measurable))
    assert circuit <= before
    if at_first.chosen.faithfulness >= fraction:
        assert summary.chosen.faithfulness >= fraction
        assert set(summary.figures["refined"]["within"]) == {"level"}
    else:
        assert summary.figures["refined"]["within"] == {"threshold": measurable.rounding}
        assert min(costs(measurable, circuit)) >= measurable.rounding - 1e-9


@pytest.mark.parametrize("timed", [True, False])
def test_an_interrupt_of_the_sweeps_leaves_what_minutes_found_and_ends_other_searches(
    measurable: Problem, timed: bool
) -> None:
    inner = TimedSearch(Minutes(5), Attribution()) if timed else ScoredSearch(Edges(40), Attribution(), Rule.TOP)
    walk = RefinedSearch(inner).walk(measurable)
    next(step for step in walk if step.stage.startswith("refining"))
    with pytest.raises(StopIteration if timed else KeyboardInterrupt) as stopped:
        walk.throw(KeyboardInterrupt)
    if isinstance(stopped.value, StopIteration):
        circuit, summary = stopped.value.value
        assert circuit == ended(inner.walk(measurable))[0]
        assert "one_minimal" not in summary.figures
        assert summary.figures["stopped"] == "interrupted"


def test_a_circuit_that_is_worth_nothing_is_refused(measurable: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its edges harm, or do nothing."""
    monkeypatch.setattr(Problem, "rounding", property(lambda _: 1e9))
    with pytest.raises(UnreachableGoal, match="--refine leaves none; ask for more edges"):
        ended(RefinedSearch(ScoredSearch(Edges(10), Attribution(), Rule.TOP)).walk(measurable))


def test_the_sweeps_are_told(measurable: Problem) -> None:
    _, told = finished(RefinedSearch(ScoredSearch(Edges(40), Attribution(), Rule.TOP)).walk(measurable))
    sweeps = [step for step in told if step.stage.startswith("refining")]
    assert [step.done for step in sweeps if step.stage.endswith("sweep 1")] == list(
        range(1, len(measurable.graph.receivers) + 1)
    )


@pytest.mark.parametrize("goal", [Edges(5), Minutes(1)])
def test_only_what_was_asked_to_is_refined(goal: Edges | Minutes) -> None:
    assert not isinstance(search(Method("masks"), goal), RefinedSearch)
    refining = search(Method("masks", refine=True, max_bytes=1 << 22), goal)
    assert isinstance(refining, RefinedSearch)
    assert refining.search == search(Method("masks", max_bytes=1 << 22), goal)
    assert refining.max_bytes == 1 << 22
