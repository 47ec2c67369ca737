"""Circuits of every size are judged on prompts that the search did not see, and areas are those on paper."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from acdc.bench import frontier_cell
from acdc.bench.frontier import Frontier
from acdc.bench.frontier_cell import at_most, edges_for, judged, measured
from acdc.bench.size_curve import SHARES
from acdc.discovery.selection import Rule, Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import faithfulness, faithfulness_of_each
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks import get
from tests.acdc.known_subjects import TRUE


@pytest.fixture(scope="module")
def sides() -> tuple[Problem, Problem]:
    """Eight prompts to discover with, and eight to judge by."""
    setup = Setup(prompts=8)
    return problems(get("periodic"), load_named("periodic-2l", setup), setup)


@pytest.fixture(scope="module")
def order(sides: tuple[Problem, Problem]) -> dict[Edge, float | None]:
    """Six edges that carry the behaviour, then all others in the graph's order, without scores."""
    every = Circuit.full(sides[0].graph).ordered()
    return {**{edge: 1.0 for edge in every if edge in TRUE}, **{edge: None for edge in every if edge not in TRUE}}


def settings(**changes: Any) -> dict[str, Any]:
    frontier = Frontier(4, 0.1, ("periodic-2l",), ("periodic",), ("kl",), ("eap-ig",))
    return {**frontier.settings(next(frontier.cells())), **changes}


def point(edges: int, kept: float) -> dict[str, Any]:
    return {"edges": edges, "judged": {"value": kept}}


def test_edges_for_a_level_lie_on_lines_over_the_logarithm_of_the_size() -> None:
    points = [point(0, 0.0), point(10, 0.2), point(1000, 0.8), point(10_000, 0.7)]
    assert edges_for(0.5, points) == pytest.approx(100)
    assert edges_for(0.8, points) == pytest.approx(1000)
    assert edges_for(0.1, points) == 10
    assert edges_for(0.9, points) is None
    assert edges_for(0.5, []) is None


def test_several_circuits_are_measured_as_each_alone_is(sides: tuple[Problem, Problem]) -> None:
    circuits = [Circuit(sides[0].graph, frozenset(edges)) for edges in (TRUE, [*TRUE][:1])]
    for together, circuit in zip(faithfulness_of_each(sides[1], circuits), circuits, strict=True):
        alone = faithfulness(sides[1], circuit)
        assert together.size == alone.size
        assert together.normalised.value == pytest.approx(alone.normalised.value, abs=1e-5)
        assert together.normalised.low == pytest.approx(alone.normalised.low, abs=1e-5)
        assert together.kl.circuit == pytest.approx(alone.kl.circuit, abs=1e-5)
        assert together.accuracy == alone.accuracy


def test_a_circuit_of_a_size_is_the_longest_beginning_within_it(sides: tuple[Problem, Problem]) -> None:
    every = Circuit.full(sides[0].graph)
    selection = Selection.of(Circuit(every.graph, every.edges, dict.fromkeys(every.edges, 1.0)), Rule.TOP)
    for size in (1, 10, 50, 110):
        longest = max((n for n in range(111) if len(selection.first(n)) <= size), default=0)
        assert at_most(selection, size) == selection.first(longest)


def test_each_size_is_measured_on_both_sides(sides: tuple[Problem, Problem], order: dict[Edge, float | None]) -> None:
    result = judged(*sides, order, (6, 30, 110))
    assert [one["asked"] for one in result["points"]] == [6, 30], "110 edges are the whole model"
    first = result["points"][0]
    circuit = Circuit(sides[0].graph, TRUE)
    for side, problem in zip(("found", "judged"), sides, strict=True):
        alone = faithfulness(problem, circuit)
        assert first[side]["value"] == pytest.approx(alone.normalised.value, abs=1e-5)
        assert first[side]["low"] <= first[side]["value"] <= first[side]["high"]
    assert first["found"]["value"] != first["judged"]["value"]
    assert first["edges"] == 6
    assert result["prompts"] == {"found": 8, "judged": 8}


def test_of_a_size_a_smaller_circuit_stands_where_it_clearly_keeps_more(
    sides: tuple[Problem, Problem], order: dict[Edge, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edges beyond the six true ones neither help nor harm, so that none of the smaller ones does by itself."""
    selection = Selection(Circuit(sides[0].graph, frozenset(order), {}), tuple(order))
    assert judged(*sides, order, (30,))["points"][0]["edges"] == len(at_most(selection, 30))
    asked: list[list[float]] = []
    monkeypatch.setattr(frontier_cell, "clearly_best", lambda kept: asked.append(kept) or len(kept) - 1)
    (point,) = judged(*sides, order, (30,))["points"]
    assert point["edges"] == len(at_most(selection, 15)) < 30
    assert asked[0][-1] == pytest.approx(point["found"]["value"], abs=1e-5)
    monkeypatch.undo()
    assert judged(*sides, order, (6,))["points"][0]["edges"] == 6, "half of the true edges keep nothing"


def test_the_areas_are_those_of_lines_through_the_shares(
    sides: tuple[Problem, Problem], order: dict[Edge, float | None]
) -> None:
    result = judged(*sides, order, (6,))
    kept = [one["faithfulness"] for one in result["shares"]]
    assert [one["share"] for one in result["shares"]] == list(SHARES)
    widths = [after - before for before, after in pairwise(SHARES)]
    assert widths[-1] == 0.5
    cpr = sum(width * (one + next_) / 2 for width, one, next_ in zip(widths, kept, kept[1:], strict=False))
    lost = [abs(1 - one) for one in kept]
    cmd = sum(width * (one + next_) / 2 for width, one, next_ in zip(widths, lost, lost[1:], strict=False))
    assert (result["cpr"], result["cmd"]) == (pytest.approx(cpr), pytest.approx(cmd))
    assert kept[0] == 0
    assert kept[-1] == pytest.approx(1)
    assert 0 < result["cmd"] < 0.5 < result["cpr"]


def test_what_an_order_does_not_name_has_no_point_and_no_area(
    sides: tuple[Problem, Problem], order: dict[Edge, float | None]
) -> None:
    result = judged(*sides, dict([*order.items()][:12]), (6, 12, 13, 30))
    assert [one["asked"] for one in result["points"]] == [6, 12]
    assert max(one["share"] for one in result["shares"]) == 0.1
    assert result["cpr"] is result["cmd"] is None


def test_what_a_behaviour_does_not_allow_is_refused_with_the_reason() -> None:
    result = measured(settings(task="ioi"))
    assert set(result) == {"settings", "refused"}
    assert result["refused"]
