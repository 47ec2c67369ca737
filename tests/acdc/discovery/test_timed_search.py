"""A search within minutes ends in time, at the knee or where enough is kept, with the best so far if interrupted."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.elimination import ROUNDS
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.prices import Prices
from acdc.algorithms.scores import AbstractScorer
from acdc.algorithms.shortlist import ShortlistPruning
from acdc.discovery import timed_search
from acdc.discovery.pruning_runs import Pruning
from acdc.discovery.selection import Rule
from acdc.discovery.timed_search import TimedSearch, knee
from acdc.drain import drain
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.settings import Minutes
from acdc.tasks.metrics import KLDivergence
from tests.acdc.algorithms.walks import ended


@pytest.fixture
def problem(single_batch: Problem) -> Problem:
    return replace(single_batch, metric=KLDivergence())


@dataclass
class Clock:
    """Tells as many seconds as were set; every look takes `each`."""

    each: float = 0.0
    now: float = 0.0

    def __call__(self) -> float:
        self.now += self.each
        return self.now


ALGORITHMS: tuple[Pruning | AbstractScorer, ...] = (
    GreedyPruning(1.0),
    ShortlistPruning(1.0),
    IntegratedGradients("inputs", 5),
    LearnedMasks(prices=Prices(60)),
)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_with_time_enough_the_fraction_is_kept(problem: Problem, algorithm: Pruning | AbstractScorer) -> None:
    circuit, summary = ended(TimedSearch(Minutes(60, 0.8), algorithm, clock=Clock()).walk(problem))
    assert summary.chosen.faithfulness >= 0.8
    assert summary.chosen.edges == len(circuit) == summary.figures["edges_for_fraction"]
    assert "knee" not in summary.figures
    smaller = [point for point in summary.curve if point.edges < len(circuit)]
    assert all(point.faithfulness < 0.8 for point in smaller)
    assert [point.edges for point in summary.curve] == sorted(point.edges for point in summary.curve)


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.2, 0.4])
def test_however_few_edges_are_enough_their_number_is_closed_in_on(problem: Problem, fraction: float) -> None:
    search = TimedSearch(Minutes(60, fraction), IntegratedGradients("inputs", 5), clock=Clock())
    told: list[Progress] = []
    circuit, summary = drain(search.walk(problem), told.append)
    assert len(told) < 40
    assert summary.chosen.faithfulness >= fraction
    assert summary.chosen.edges == len(circuit)


def test_a_circuit_of_too_many_edges_gives_way_to_the_knee(problem: Problem) -> None:
    circuit, summary = ended(TimedSearch(Minutes(60, 0.95, few=5), ShortlistPruning(1.0), clock=Clock()).walk(problem))
    assert summary.figures["knee"] is True
    assert summary.figures["edges_for_fraction"] > 5
    exact = [point for point in summary.curve if point.tested and point.edges]
    assert summary.chosen == knee(exact)
    assert len(circuit) == summary.chosen.edges


def test_no_run_is_begun_that_would_not_end_in_time(problem: Problem) -> None:
    clock = Clock(each=12.0)  # every look takes some seconds
    _, summary = ended(TimedSearch(Minutes(1, 1.0), GreedyPruning(1.0), clock=clock).walk(problem))
    assert summary.figures["stopped"] == "time"
    assert clock.now <= 60
    assert len(summary.curve) >= 1


def test_however_late_it_is_there_is_a_circuit_with_edges(problem: Problem) -> None:
    search = TimedSearch(Minutes(0.001, 0.3), IntegratedGradients("inputs", 5), clock=Clock(each=100.0))
    circuit, summary = ended(search.walk(problem))
    assert circuit.edges
    assert summary.chosen.faithfulness >= 0.3


def test_seconds_that_are_gone_before_are_not_there(problem: Problem) -> None:
    asked = TimedSearch(Minutes(10, 1.0), GreedyPruning(1.0), clock=Clock(each=1.0))
    _, whole = ended(asked.walk(problem))
    _, late = ended(replace(asked, spent=479.0, clock=Clock(each=1.0)).walk(problem))
    assert len(late.curve) < len(whole.curve)
    assert late.figures["stopped"] == "time"


@dataclass
class Impatient:
    """Interrupts after so many reports."""

    patience: int
    seen: list[Progress] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)
        if len(self.seen) == self.patience:
            raise KeyboardInterrupt


def test_an_interrupt_ends_it_with_the_best_so_far(problem: Problem) -> None:
    search = TimedSearch(Minutes(60, 1.0), ShortlistPruning(1.0), clock=Clock())
    whole: list[Progress] = []
    drain(search.walk(problem), whole.append)
    second = next(index for index, progress in enumerate(whole) if progress.stage.startswith("run 2"))
    circuit, summary = drain(search.walk(problem), Impatient(second + 2))
    assert summary.figures["stopped"] == "interrupted"
    assert circuit.edges
    assert summary.joining.keys() == problem.graph.every_edge


def test_an_interrupt_of_a_training_ends_it_with_what_is_learned_by_then(problem: Problem) -> None:
    search = TimedSearch(Minutes(60, 0.8), LearnedMasks(prices=Prices(40)), clock=Clock())
    whole: list[Progress] = []
    drain(search.walk(problem), whole.append)
    scoring = [progress for progress in whole if progress.stage == "scoring all edges"]
    ranking = scoring[0].total - ROUNDS - 40
    for trained in (20, 40, 45):  # half-way, at the last step, and as its edges are ordered
        circuit, summary = drain(search.walk(problem), Impatient(ranking + trained))
        assert summary.figures["stopped"] == "interrupted"
        assert circuit.edges
    with pytest.raises(KeyboardInterrupt):  # nothing is learned yet
        drain(search.walk(problem), Impatient(1))


def test_an_interrupt_before_there_is_anything_is_one(problem: Problem) -> None:
    with pytest.raises(KeyboardInterrupt):
        drain(TimedSearch(Minutes(60), GreedyPruning(1.0), clock=Clock()).walk(problem), Impatient(1))


def test_an_interrupt_within_a_run_ends_it_too(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    sized = timed_search._Curve.sized

    def interrupted(*given: Any, **options: Any) -> Generator[Progress, None, None]:
        yield from sized(*given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("acdc.discovery.timed_search._Curve.sized", interrupted)
    _, summary = ended(TimedSearch(Minutes(60, 1.0), ShortlistPruning(1.0), clock=Clock()).walk(problem))
    assert summary.figures["stopped"] == "interrupted"


Searched = tuple[Circuit, SearchSummary]


def test_estimates_are_never_shown_as_what_removals_cost(problem: Problem) -> None:
    search = TimedSearch(Minutes(60, 1.0), ShortlistPruning(1.0), clock=Clock())
    whole: list[Progress] = []
    drain(search.walk(problem), whole.append)
    before_runs = next(index for index, progress in enumerate(whole) if progress.stage.startswith("run 1"))
    estimated, summary = drain(search.walk(problem), Impatient(before_runs + 1))
    assert estimated.edges
    assert not estimated.scores
    assert set(summary.joining.values()) == {None}
    circuit, summary = ended(replace(search, goal=Minutes(60, 0.5)).walk(problem))
    costs = {edge: score for edge, score in summary.joining.items() if score is not None}
    assert {edge: costs[edge] for edge in circuit.edges} == pytest.approx(dict(circuit.scores), abs=1.0)
    assert len(costs) < len(summary.joining)
    scored = ended(TimedSearch(Minutes(60, 0.5), IntegratedGradients(), clock=Clock()).walk(problem))[0]
    assert scored.scores.keys() == scored.edges


def test_a_circuit_that_only_estimates_chose_is_not_the_answer_where_a_run_has_ended(problem: Problem) -> None:
    search = TimedSearch(Minutes(60, 0.5, few=100), ShortlistPruning(1.0), clock=Clock())
    _, summary = ended(search.walk(problem))
    assert summary.chosen.tested


def test_it_goes_on_from_its_last_state(problem: Problem) -> None:
    search = TimedSearch(Minutes(60, 0.9), ShortlistPruning(1.0), clock=Clock())
    met: list[Progress] = []
    wanted: Searched = drain(search.walk(problem), met.append)
    for progress in [progress for progress in met if progress.state is not None][::7]:
        again: Searched = ended(search.walk(problem, progress.state))
        assert again == wanted


def test_the_edges_that_join_are_all_in_the_order_of_the_highest_threshold_first(problem: Problem) -> None:
    circuit, summary = ended(TimedSearch(Minutes(60, 0.9), ShortlistPruning(1.0), clock=Clock()).walk(problem))
    assert summary.joining.keys() == problem.graph.every_edge
    runs = [point for point in summary.curve if point.tested]
    joined = list(summary.joining)
    assert runs[-1].edges == len(circuit)
    assert circuit.edges <= {*joined[: sum(point.edges for point in runs)]}
    scored = ended(TimedSearch(Minutes(60), IntegratedGradients(), Rule.TOP, clock=Clock()).walk(problem))[1]
    sizes = [abs(score) for score in scored.joining.values()]
    assert sizes == sorted(sizes, reverse=True)


def point(edges: int, faithfulness: float) -> CurvePoint:
    return CurvePoint(1.0, edges, faithfulness, 1)


def test_the_knee_is_furthest_above_the_line_by_the_logarithm_of_the_size() -> None:
    by_hand = [point(10, 0.3), point(100, 0.6), point(300, 0.8), point(1000, 0.82), point(10000, 0.9)]
    # above the line from (1, .3) to (4, .9), in log10: .1, .8 - .3 - .2 * 1.477 = .205, .12
    assert knee(by_hand) == by_hand[2]
    assert knee(by_hand[:2]) == by_hand[1]
    assert knee([point(10, 0.5), point(20, 0.4)]).edges == 10


@pytest.mark.parametrize("wrong", [(0.0,), (float("nan"),), (10, 1.5), (10, 0.9, 0)])
def test_minutes_that_mean_nothing_are_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(BadSetting):
        Minutes(*wrong)  # type: ignore[arg-type]
