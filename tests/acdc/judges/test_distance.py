"""Distances are means over prompts, and those that are cut short are never too large."""

from __future__ import annotations

import pytest

from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.circuit import Circuit
from acdc.judges.distance import distances, rounding
from acdc.judges.necessity import partial_necessity
from acdc.judges.random_circuits import random_circuits
from acdc.judges.sufficiency import sufficiency
from acdc.problem import Problem
from acdc.progress import Progress


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether to go on is asked after every prompt."""
    monkeypatch.setattr("acdc.judges.distance._PROMPTS", 1)
    monkeypatch.setattr("acdc.judges.distance._CIRCUITS", 7)


def drawn(problem: Problem, count: int = 20) -> tuple[Circuit, list[Circuit]]:
    circuit = Circuit(problem.graph, frozenset([*problem.graph.edges()][::3])).pruned()
    return circuit, random_circuits(circuit, count, "uniform", 3)


def by_definition(problem: Problem, origin: Circuit, circuits: list[Circuit]) -> list[float]:
    there, *values = problem.measure([origin, *circuits])[0]
    return [float((here - there).abs().mean()) for here in values]


def test_scores_that_are_wrong_both_ways_do_not_cancel(measurable: Problem) -> None:
    full, none = Circuit.full(measurable.graph), Circuit.empty(measurable.graph)
    values = measurable.measure([full, none])[0]
    assert distances(measurable, full, [none])[0] >= float((values[1] - values[0]).mean().abs())


@pytest.mark.usefixtures("one_at_a_time")
def test_the_split_into_parts_changes_nothing(measurable: Problem) -> None:
    origin, circuits = drawn(measurable)
    found = distances(measurable, origin, circuits)
    assert found.tolist() == pytest.approx(by_definition(measurable, origin, circuits), abs=1e-12)


@pytest.mark.usefixtures("one_at_a_time")
def test_what_is_near_enough_is_exact_and_the_rest_is_too_far_for_certain(measurable: Problem) -> None:
    origin, circuits = drawn(measurable)
    whole = by_definition(measurable, origin, circuits)
    enough = sorted(whole)[4]
    found = distances(measurable, origin, circuits, enough)
    short = 0
    for value, wanted in zip(found, whole, strict=True):
        if wanted <= enough:
            assert value == pytest.approx(wanted, abs=1e-12)
        else:
            assert enough < value <= wanted + 1e-12
            short += value < wanted - 1e-9
    assert short > 5, "some were spared prompts"


def test_who_is_beaten_does_not_depend_on_how_early_that_is_seen(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    circuit, _ = drawn(measurable)
    found = []
    for prompts in (1, 2, 100):
        monkeypatch.setattr("acdc.judges.distance._PROMPTS", prompts)
        needed, enough = (test(measurable, circuit, 1, draws=40) for test in (partial_necessity, sufficiency))
        found.append((needed.beaten, enough.to_json()["uniform"]["beaten"], enough.to_json()["stratified"]["beaten"]))
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures("one_at_a_time")
def test_the_watch_hears_of_a_steady_growth_to_the_end(measurable: Problem) -> None:
    seen: list[Progress] = []
    ended: list[Progress] = []
    origin, circuits = drawn(measurable)
    distances(measurable, origin, circuits, stage="a test", watch=seen.append)
    distances(measurable, origin, circuits, -1.0, stage="none is near", watch=ended.append)
    assert ended[-1] == Progress("none is near", 20, 20)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert (done[-1], {progress.total for progress in seen}) == (20, {20})
    assert {progress.stage for progress in seen} == {"a test"}


def test_a_behaviour_that_ablation_does_not_touch_has_no_rounding(measurable: Problem) -> None:
    from dataclasses import replace

    from acdc.tasks.prompts import PromptPairs

    same = PromptPairs(tuple(replace(pair, corrupt=pair.clean) for pair in measurable.pairs.pairs))
    with pytest.raises(UnmeasurableBehaviour):
        rounding(replace(measurable, pairs=same))
