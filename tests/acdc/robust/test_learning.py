"""Refinement finds the path that no drawn prompt takes, says how it went, and stops for the reason it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from acdc.attacks.search import search
from acdc.attacks.variations import prompts_of
from acdc.discovery.discover import Result, discover
from acdc.errors import BadCheckpoint, BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.planted import hidden_edges, known
from acdc.judges.evaluation import evaluate
from acdc.problems import problems
from acdc.progress import CurvePoint, SearchSummary
from acdc.robust.learning import _CandidateCircuit, _RobustSearch, discover_robust
from acdc.robust.rounds import RobustPlan, RobustResult, Round, Stop
from acdc.settings import Setup, Threshold
from acdc.tasks.prompts import ListedPrompts, PromptPairs
from acdc.tasks.task import Task

SETUP = Setup(prompts=12)
PLAN = RobustPlan(budget=30, counterexamples=12, rounds=2)
SEED = 8
"""That of a small model: four true edges and two hidden ones."""


@lru_cache
def subject() -> Known:
    return known("hidden", SEED)


def truth() -> frozenset[Edge]:
    return subject().truths[Ablation.RESAMPLE]


@lru_cache
def task() -> Task:
    return subject().task


@lru_cache
def first() -> Result:
    """What every refinement with the usual settings begins with."""
    return discover(task(), subject().model, setup=SETUP)


def refined(plan: RobustPlan = PLAN, **settings: Any) -> RobustResult:
    return discover_robust(task(), subject().model, setup=SETUP, plan=plan, **settings)


@dataclass
class Watched:
    """A refinement, the prompts that each search for a circuit learned from, and those each attack did without."""

    learned_from: list[set[tuple[int, ...]]] = field(default_factory=list)
    tested: dict[int, list[set[tuple[int, ...]]]] = field(default_factory=dict)
    refined: RobustResult = field(init=False)


@pytest.fixture(scope="module")
def watched() -> Watched:
    seen = Watched()
    rediscovered = _RobustSearch._rediscovered

    def recorded(robust_search: _RobustSearch, number: int, counterexamples: Any, most: int) -> Any:
        seen.learned_from.append({each.pair.clean for each in counterexamples})
        return rediscovered(robust_search, number, counterexamples, most)

    def searched(*arguments: Any, seed: int, **options: Any) -> Any:
        seen.tested.setdefault(seed, []).append({*options["without"]})
        return search(*arguments, seed=seed, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("acdc.robust.learning._RobustSearch._rediscovered", recorded)
        patched.setattr("acdc.robust.learning.search", searched)
        seen.refined = refined()
    return seen


@pytest.fixture(scope="module")
def found(watched: Watched) -> RobustResult:
    return watched.refined


@pytest.fixture
def discovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first circuit is not searched for again."""
    monkeypatch.setattr("acdc.robust.learning.discover", lambda *_, **__: first())


def test_the_hidden_path_is_found_and_nothing_else(found: RobustResult) -> None:
    assert found.result.circuit.edges == truth() | hidden_edges(SEED)
    assert found.rounds[0].edges == len(truth())
    assert set(found.rounds[1].gained) == {edge.name for edge in hidden_edges(SEED)}
    assert found.rounds[1].lost == ()


def test_it_helped_and_says_so(found: RobustResult) -> None:
    assert found.stop is Stop.HELD
    assert found.first.worst > 2.5 > 0.01 > found.last.worst
    assert (found.first.edges, found.last.edges) == (4, 6)
    assert found.helped
    assert found.verdict.startswith("it helped: worst KL under an unseen attack ")
    assert "worse" not in found.verdict


def test_a_round_says_what_it_learned_from(found: RobustResult) -> None:
    before, after = found.rounds
    assert before.breaks == ("rare letter",)
    assert (before.learned, before.added) == ({}, None)
    assert after.learned["variation rare letter"] >= 4
    assert sum(after.learned.values()) <= PLAN.counterexamples
    assert after.line.startswith("round 1: 6 edges (+2 -0, by ")
    assert "learned from " in after.line


def test_the_file_says_how_it_was_found_and_can_be_evaluated(found: RobustResult, tmp_path: Path) -> None:
    found.result.circuit.save(tmp_path / "circuit.json")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert loaded.provenance["robust"] == found.to_json() | {"rounds": _plain(found)}
    assert loaded.provenance["prompts"]["discovery"]["count"] == 12 + sum(found.rounds[1].learned.values())
    assert loaded.provenance["algorithm"]["goal"] == {"kind": "Edges", "count": 6}
    assert evaluate(loaded) == found.result.faithfulness


def _plain(found: RobustResult) -> list[dict[str, Any]]:
    return [
        {key: list(value) if isinstance(value, tuple) else value for key, value in each.items()}
        for each in found.to_json()["rounds"]
    ]


def test_nothing_above_the_bound_is_nothing_to_learn_from() -> None:
    held = replace(task(), variations=())
    kept = discover_robust(held, subject().model, setup=SETUP, plan=replace(PLAN, bound=5.0), method="eap")
    assert (kept.stop, len(kept.rounds), kept.helped) == (Stop.HELD, 1, False)
    assert kept.verdict.startswith("nothing to learn from")
    assert kept.result.circuit.provenance["robust"]["stop"] == Stop.HELD.value


def test_a_task_without_slots_is_refused_before_anything_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning.discover", _never)
    listed = replace(task(), prompts=ListedPrompts((), ()), variations=())
    with pytest.raises(BadSetting, match="slots of the prompts"):
        discover_robust(listed, subject().model, setup=SETUP, plan=PLAN)


def test_an_empty_first_circuit_is_the_result_and_is_not_attacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning.search", _never)
    kept = refined(method="eap", goal=Threshold(1e6))
    assert (kept.stop, kept.helped, kept.rounds, len(kept.result.circuit)) == (Stop.EMPTY, False, (), 0)
    assert kept.verdict == "there was nothing to learn from"
    record = kept.result.circuit.provenance
    assert record["robust"]["first"] == record["robust"]["last"]
    assert record["algorithm"]["largest"]["edge"]


def test_nothing_that_judges_is_learned_from_nor_tested_unseen(watched: Watched) -> None:
    learned_from, tested = watched.learned_from, watched.tested
    discovery, judgement = problems(task(), subject().model, SETUP)
    rare, *_ = task().variations
    judging = prompts_of(rare, judgement, discovery.pairs, SETUP.prompts, SETUP.seed)
    assert isinstance(judging, PromptPairs)
    for each in learned_from:
        assert not each & {pair.clean for pair in (*judgement.pairs.pairs, *judging.pairs)}
    assert tested[PLAN.unseen] == [max(learned_from, key=len)] * 2 != [set()] * 2
    assert all(without == set() for seed in tested if seed != PLAN.unseen for without in tested[seed])


def test_rounds_end_when_there_are_no_more() -> None:
    kept = refined(replace(PLAN, rounds=1, bound=0.0), method="eap")
    assert (kept.stop, len(kept.rounds)) == (Stop.ROUNDS, 2)


@pytest.mark.usefixtures("discovered")
def test_an_edge_budget_that_does_not_suffice_leaves_the_first_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._rediscovered", lambda *_: [])
    kept = refined()
    assert (kept.stop, kept.helped) == (Stop.EDGES, False)
    assert kept.result.circuit.edges == truth()


@pytest.mark.usefixtures("discovered")
def test_a_circuit_that_learning_no_longer_changes_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    same = _CandidateCircuit(
        Circuit(subject().model.graph, truth()),
        "kl",
        summary=SearchSummary(CurvePoint(0.1, 4, 1.0, 0), (), {}),
    )
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._rediscovered", lambda *_: [same])
    kept = refined()
    assert (kept.stop, len(kept.rounds), kept.helped) == (Stop.EDGES, 2, False)
    assert kept.verdict.startswith("it did not help, so the first circuit is kept: ")


@pytest.mark.usefixtures("discovered")
def test_what_needs_no_counterexample_is_not_put_down_to_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Circuit(subject().model.graph, truth() | hidden_edges(SEED))
    larger = _CandidateCircuit(whole, "kl", summary=SearchSummary(CurvePoint(0.1, 6, 1.0, 0), (), {}))
    monkeypatch.setattr(
        "acdc.robust.learning._RobustSearch._rediscovered",
        lambda _, number, counterexamples, most: [] if counterexamples else [larger],
    )
    kept = refined()
    assert (kept.helped, kept.counterexamples, kept.rounds[1].learned) == (True, 0, {})
    assert kept.verdict.startswith("it helped by its size alone, not by what it could have learned: ")
    plain = problems(task(), subject().model, SETUP)[0].pairs.fingerprint()
    assert kept.result.circuit.provenance["prompts"]["discovery"]["hash"] == f"sha256:{plain}"


@pytest.mark.usefixtures("discovered")
def test_what_is_among_the_prompts_already_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._new_counterexamples", lambda *_: [])
    kept = refined()
    assert (kept.stop, len(kept.rounds)) == (Stop.NOTHING_NEW, 1)


def test_the_same_seeds_find_the_same_again_and_an_interrupted_refinement_goes_on_to_it(
    found: RobustResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, plan = tmp_path / "checkpoint.json", PLAN

    def interrupt(told: Round) -> None:
        if told.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refined(plan, checkpoint=checkpoint, tell=interrupt)
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint.json", "rounds.json"}
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._rediscovered", _never)
    assert refined(plan, checkpoint=checkpoint, resume=True).to_json() == found.to_json()
    with pytest.raises(BadCheckpoint, match="plan was"):
        refined(replace(plan, bound=0.25), checkpoint=checkpoint, resume=True)


def _never(*_: object) -> None:
    raise AssertionError("the round had been done")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RobustPlan(budget=0), "the budget of a refinement is 0; wanted at least 1"),
        (lambda: RobustPlan(growth=0.5), "the growth of a refinement is 0.5; wanted at least 1"),
        (lambda: RobustPlan(growth=float("inf")), "the growth of a refinement is infinite; wanted a number"),
        (lambda: RobustPlan(bound=float("nan")), "the bound of a refinement is nan; wanted at least 0"),
        (lambda: RobustPlan(seed=3, rounds=2, unseen=5), "the unseen seed 5 is that of a round; wanted none of 3 to 5"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(make: Callable[[], RobustPlan], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        make()
