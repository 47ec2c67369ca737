"""A circuit's record is enough to discover it again, on other prompts, and to go on after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import acdc
from acdc.discovery.rediscover import Rediscovery, _repeatable, rediscover
from acdc.errors import BadCheckpoint, BadSetting, UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadCircuitFile
from acdc.judges.stability import Stability
from acdc.progress import Progress
from acdc.provenance import Provenance
from acdc.settings import Edges, Method, Minutes, Threshold
from tests.acdc.discoveries import SETUP, periodic

RUNS = Rediscovery(resamples=2, seeds=1)


@pytest.fixture(scope="module")
def walked(found: acdc.Result) -> tuple[list[Progress], Stability]:
    """Every progress of a rediscovery, and its end."""
    walk, met = RUNS.walk(found.circuit), []
    while True:
        try:
            met.append(next(walk))
        except StopIteration as stop:
            return met, stop.value


def test_method_and_goal_are_those_of_the_record(found: acdc.Result) -> None:
    assert Provenance.of(found.circuit).search() == (Method(), Threshold(0.4))


def test_another_seed_is_a_discovery_with_that_seed(walked: tuple[list[Progress], Stability]) -> None:
    state = walked[0][-1].state
    assert state is not None
    again = periodic(replace(SETUP, seed=SETUP.seed + 1)).circuit
    assert state["found"][2] == {edge.name: again.scores[edge] for edge in again.ordered()}


def test_resamples_differ_from_each_other_and_from_the_circuit(
    walked: tuple[list[Progress], Stability], found: acdc.Result
) -> None:
    state = walked[0][-1].state
    assert state is not None
    own = {edge.name: found.circuit.scores[edge] for edge in found.circuit.ordered()}
    first, second, _ = state["found"]
    assert first != second
    assert own not in (first, second)


def test_every_discovery_is_told(walked: tuple[list[Progress], Stability]) -> None:
    assert [one.stage for one in walked[0]] == ["resample 1 of 2", "resample 2 of 2", f"seed {SETUP.seed + 1}"]
    assert [(one.done, one.total) for one in walked[0]] == [(1, 3), (2, 3), (3, 3)]


def test_what_was_interrupted_goes_on_to_the_same_end(
    walked: tuple[list[Progress], Stability], found: acdc.Result, tmp_path: Path
) -> None:
    file, met = tmp_path / "checkpoint.json", []

    def watch(progress: Progress) -> None:
        met.append(progress.stage)
        if progress.done == 2:
            raise KeyboardInterrupt

    def go(*, resume: bool = False, seeds: int = 1) -> Stability:
        return rediscover(
            found.circuit, resamples=2, seeds=seeds, watch=None if resume else watch, checkpoint=file, resume=resume
        )

    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(met) == 2
    assert go(resume=True) == walked[1]
    with pytest.raises(BadCheckpoint, match="seeds was 1, is now 2"):
        go(resume=True, seeds=2)


def test_the_circuit_round_trips_with_what_came_of_it(
    walked: tuple[list[Progress], Stability], found: acdc.Result, tmp_path: Path
) -> None:
    noted = walked[1].noted_in(found.circuit)
    assert set(noted.frequencies) == set(found.circuit.edges)
    assert set(noted.frequencies.values()) <= {0, 1 / 3, 2 / 3, 1}
    noted.save(tmp_path / "circuit.json")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert (loaded.frequencies, loaded.provenance) == (noted.frequencies, noted.provenance)


def test_a_discovery_without_an_end_is_a_circuit_of_no_edges(
    found: acdc.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def walk(self, _: object) -> Iterator[Progress]:
            yield from ()
            raise UnreachableGoal("none")

    monkeypatch.setattr("acdc.discovery.rediscover.search", lambda *_, exactly: Nothing())
    end = rediscover(found.circuit, resamples=2, seeds=0)
    assert set(end.frequencies.values()) == {0}
    assert end.resamples is not None
    assert (end.resamples.fewest, end.resamples.most, end.resamples.with_circuit) == (0, 0, 0)


def test_a_search_within_minutes_is_repeated_at_its_threshold_or_size(found: acdc.Result) -> None:
    algorithm = {**found.circuit.provenance["algorithm"], "threshold": 0.25}
    circuit = replace(found.circuit, provenance={**found.circuit.provenance, "algorithm": algorithm})
    assert _repeatable(Minutes(5), Method("acdc"), circuit) == Threshold(0.25)
    assert _repeatable(Minutes(5), Method("acdc"), replace(circuit, scores={})) == Edges(len(circuit))
    assert _repeatable(Minutes(5), Method("eap"), circuit) == Edges(len(circuit))
    assert _repeatable(Edges(3), Method("acdc"), circuit) == Edges(3)


@pytest.mark.parametrize("counts", [(0, 0), (-1, 2), (2, -1)])
def test_no_discovery_says_nothing(counts: tuple[int, int]) -> None:
    with pytest.raises(BadSetting, match=r"at least one of them \(--resamples, --seeds\)"):
        Rediscovery(*counts)


@pytest.mark.parametrize(
    "damage",
    [
        {"settings": {"name": "acd"}, "goal": {"kind": "Edges", "count": 3}},
        {"settings": {}, "goal": {"kind": "Edge", "count": 3}},
        {"settings": {}, "goal": {"kind": "Edges"}},
        {"settings": 3, "goal": {"kind": "Edges", "count": 3}},
        {"settings": {}},
    ],
)
def test_a_record_that_does_not_say_how_it_was_found_is_refused(found: acdc.Result, damage: dict[str, Any]) -> None:
    circuit = replace(found.circuit, provenance={**found.circuit.provenance, "algorithm": {"name": "acdc", **damage}})
    with pytest.raises(BadCircuitFile, match=r"is damaged|lacks algorithm\.goal|under 'algorithm\.settings' cannot"):
        Provenance.of(circuit).search()
