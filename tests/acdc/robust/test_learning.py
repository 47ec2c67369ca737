"""Refinement finds the path that no drawn prompt takes, learns from nothing that judges, and stops for its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acdc.attacks.variations import prompts_of
from acdc.errors import BadCheckpoint, BadSetting
from acdc.graphs.circuit import Circuit
from acdc.ground_truth.planted import hidden_edges
from acdc.problems import problems
from acdc.progress import CurvePoint, SearchSummary
from acdc.robust.candidate import CandidateCircuit
from acdc.robust.learning import discover_robust
from acdc.robust.result import RobustResult
from acdc.robust.rounds import Round, Stop
from acdc.tasks.prompts import ListedPrompts, PromptPairs
from tests.acdc.robust.conftest import Watched
from tests.acdc.robust.refinements import PLAN, SEED, SETUP, never, refined, subject, task, truth


def test_the_hidden_path_is_found_and_nothing_else(found: RobustResult) -> None:
    assert found.result.circuit.edges == truth() | hidden_edges(SEED)
    assert found.rounds[0].circuit.edges == len(truth())
    assert set(found.rounds[1].circuit.gained) == {edge.name for edge in hidden_edges(SEED)}
    assert found.rounds[1].circuit.lost == ()


def test_a_round_says_what_it_learned_from(found: RobustResult) -> None:
    before, after = found.rounds
    assert before.attack.breaks == ("rare letter",)
    assert (before.added.found_by, before.added.hash) == ({}, None)
    assert after.added.found_by["variation rare letter"] >= 4
    assert sum(after.added.found_by.values()) <= PLAN.counterexamples
    assert after.line.startswith("round 1: 6 edges (+2 -0, by ")
    assert "learned from " in after.line


def test_a_task_without_slots_is_refused_before_anything_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning.discover", never)
    listed = replace(task(), prompts=ListedPrompts((), ()), variations=())
    with pytest.raises(BadSetting, match="slots of the prompts"):
        discover_robust(listed, subject().model, setup=SETUP, plan=PLAN)


def test_nothing_that_judges_is_learned_from_nor_tested_unseen(watched: Watched) -> None:
    learned_from, tested, unseen = watched.learned_from, watched.tested, PLAN.seeds.unseen
    discovery, judgement = problems(task(), subject().model, SETUP)
    rare, *_ = task().variations
    judging = prompts_of(rare, judgement, discovery.pairs, SETUP.prompts, SETUP.seed)
    assert isinstance(judging, PromptPairs)
    for each in learned_from:
        assert not each & {pair.clean for pair in (*judgement.pairs.pairs, *judging.pairs)}
    assert tested[unseen] == [max(learned_from, key=len)] * 2 != [set()] * 2
    assert all(without == set() for seed in tested if seed != unseen for without in tested[seed])


def test_rounds_end_when_there_are_no_more() -> None:
    kept = refined(replace(PLAN, rounds=1, bound=0.0), method="eap")
    assert (kept.stop, len(kept.rounds)) == (Stop.ROUNDS, 2)


@pytest.mark.usefixtures("discovered")
def test_an_edge_budget_that_does_not_suffice_leaves_the_first_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._rediscovered", lambda *_: [])
    kept = refined()
    assert (kept.stop, kept.unseen.helped) == (Stop.EDGES, False)
    assert kept.result.circuit.edges == truth()


@pytest.mark.usefixtures("discovered")
def test_a_circuit_that_learning_no_longer_changes_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    same = CandidateCircuit(
        Circuit(subject().model.graph, truth()),
        "kl",
        summary=SearchSummary(CurvePoint(0.1, 4, 1.0, 0), (), {}),
    )
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._rediscovered", lambda *_: [same])
    kept = refined()
    assert (kept.stop, len(kept.rounds), kept.unseen.helped) == (Stop.EDGES, 2, False)
    assert kept.verdict.startswith("it did not help, so the first circuit is kept: ")


@pytest.mark.usefixtures("discovered")
def test_what_is_among_the_prompts_already_is_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._new_counterexamples", lambda *_: [])
    kept = refined()
    assert (kept.stop, len(kept.rounds)) == (Stop.NOTHING_NEW, 1)


def test_the_same_seeds_find_the_same_again_and_an_interrupted_refinement_goes_on_to_it(
    found: RobustResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, plan = tmp_path / "checkpoint.json", PLAN

    def interrupt(done: Round) -> None:
        if done.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refined(plan, checkpoint=checkpoint, tell=interrupt)
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint.json", "rounds.json"}
    monkeypatch.setattr("acdc.robust.learning._RobustSearch._rediscovered", never)
    assert refined(plan, checkpoint=checkpoint, resume=True).to_json() == found.to_json()
    with pytest.raises(BadCheckpoint, match="plan was"):
        refined(replace(plan, bound=0.25), checkpoint=checkpoint, resume=True)
