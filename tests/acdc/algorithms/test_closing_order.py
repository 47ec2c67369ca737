"""The order in which masks closed gives way to another where that is measured to keep more."""

from __future__ import annotations

from functools import lru_cache

import pytest

import acdc
from acdc.algorithms import closing_order
from acdc.algorithms.closing_order import dealt, eliminated, highest, of_another_training, told
from acdc.algorithms.elimination import Elimination
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from tests.acdc.algorithms.walks import ended


@lru_cache
def of_periodic() -> tuple[Problem, list[Edge]]:
    """A problem and its edges, those first that masks learn to be worth most."""
    setup = acdc.Setup(metric="kl", prompts=8)
    problem, _ = problems(acdc.get_task("periodic"), load_named("periodic-2l", setup), setup)
    return problem, highest(ended(LearnedMasks().walk(problem)).scores)


def falling(order: list[Edge]) -> dict[Edge, float]:
    return {edge: 1.0 / number for number, edge in enumerate(order, 1)}


def test_edges_that_closed_first_are_ordered_by_effects_where_that_keeps_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a circuit keeps the sum of what its edges are said to be worth, the first by far the most."""
    problem, best = of_periodic()
    worth = {edge: 0.9**number for number, edge in enumerate(best)}
    monkeypatch.setattr(
        closing_order, "kept_by", lambda _, circuits: [sum(map(worth.__getitem__, of.edges)) for of in circuits]
    )
    quarter, half = len(best) // 4, len(best) // 2
    mistaken = [*best[:quarter], *best[: quarter - 1 : -1]]
    assert told(problem, falling(best), falling(mistaken)) == falling(best), "what closed last is worth most"
    worst = best[::-1]
    assert list(told(problem, falling(worst), falling(best))) == worst[:quarter], "and where it is not, the rest is"
    late = [*best[:half], *worst[:-half]]
    assert told(problem, falling(late), falling(best)) == falling(late), "or it is too late to tell"


def test_a_second_training_orders_its_edges_where_that_keeps_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_order, "_SIZES", (4, 8, 16))
    problem, best = of_periodic()
    mistaken, rest = best[29::-1], best[30:]
    for first, second, wins in ((best, mistaken, False), ([*mistaken, *rest], best[:30], True)):
        anew = of_another_training(problem, falling(first), falling(second))
        assert highest(anew) == ([*second, *rest] if wins else first)
        assert sorted(anew.values()) == sorted(falling(first).values()), "prices are dealt out anew, none are made"


def test_of_two_trainings_one_may_order_few_edges_better_and_the_other_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a circuit loses 1 for every edge that is not of the best circuit of its size."""
    monkeypatch.setattr(closing_order, "_SIZES", (2, 4, 6))
    problem, best = of_periodic()
    first, second = best[:10], [*best[5:7], *best[2:4], *best[:2], *best[7:10], best[4]]
    wanted = {2: second, 4: [*second[:2], *first], 6: [*second[:2], *first]}
    monkeypatch.setattr(
        closing_order, "beginning", lambda _, order, size: Circuit(problem.graph, frozenset(order[:size]))
    )
    monkeypatch.setattr(
        closing_order,
        "kept_by",
        lambda _, circuits: [-float(len(one.edges - set(wanted[len(one)][: len(one)]))) for one in circuits],
    )
    anew = of_another_training(problem, falling(best), falling(second))
    assert highest(anew)[:10] == list(dict.fromkeys((*second[:2], *first)))
    assert highest(anew)[10:] == best[10:]


def test_those_that_come_in_have_room_among_the_highest() -> None:
    _, edges = of_periodic()
    a, b, c, d, e = edges[:5]
    prices = {a: 8.0, b: 6.0, c: 4.0, d: 1.0}
    assert dealt(prices, [c, a, b], 3) == {c: 8.0, a: 6.0, b: 4.0, d: 1.0}
    assert dealt(prices, [c, e, a, d, b], 3) == {c: 8.0, e: 7.0, a: 6.0, d: 5.0, b: 4.0}


def test_no_edge_comes_in_that_was_not_trained() -> None:
    """Though those that are attributed most would keep all of the behaviour."""
    problem, best = of_periodic()
    trained = falling([*best[1::2], *best[2::2]])
    anew = ended(eliminated(problem, trained, falling(best), Elimination()))
    assert anew.keys() == trained.keys()
    assert best[0] not in anew
