"""The better circuit is the one that an unseen attack hurts less, and its file says how it was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from acdc.ground_truth.planted import hidden_edges
from acdc.judges.evaluation import evaluate
from acdc.problems import problems
from acdc.progress import CurvePoint, SearchSummary
from acdc.robust.candidate import CandidateCircuit
from acdc.robust.learning import discover_robust
from acdc.robust.result import RobustResult
from acdc.robust.rounds import Stop
from acdc.settings import Threshold
from tests.acdc.robust.refinements import PLAN, SEED, SETUP, never, refined, subject, task, truth


def test_it_helped_and_says_so(found: RobustResult) -> None:
    assert found.stop is Stop.HELD
    first, last = found.unseen.first, found.unseen.last
    assert first.worst > 2.5 > 0.01 > last.worst
    assert (first.edges, last.edges) == (4, 6)
    assert found.unseen.helped
    assert found.verdict.startswith("it helped: worst KL under an unseen attack ")
    assert "worse" not in found.verdict


def test_the_file_says_how_it_was_found_and_can_be_evaluated(found: RobustResult, tmp_path: Path) -> None:
    found.result.circuit.save(tmp_path / "circuit.json")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert loaded.provenance["robust"] == found.to_json()
    added = sum(found.rounds[1].added.found_by.values())
    assert loaded.provenance["prompts"]["discovery"]["count"] == 12 + added
    assert loaded.provenance["algorithm"]["goal"] == {"kind": "Edges", "count": 6}
    assert loaded.provenance["algorithm"]["score_kind"] == "effect", "or its picture would not say what scores mean"
    assert evaluate(loaded) == found.result.faithfulness


def test_the_file_names_its_parts_in_one_order(found: RobustResult) -> None:
    robust = found.to_json()
    assert list(robust) == ["plan", "rounds", "stop", "counterexamples", "first", "last", "helped", "verdict"]
    assert list(robust["rounds"][0]) == [
        *("number", "edges", "metric", "mean", "worst", "above", "breaks", "learned", "words", "gained", "lost"),
        "added",
    ]
    assert list(robust["first"]) == ["edges", "mean", "worst"]


def test_nothing_above_the_bound_is_nothing_to_learn_from() -> None:
    held = replace(task(), variations=())
    kept = discover_robust(held, subject().model, setup=SETUP, plan=replace(PLAN, bound=5.0), method="eap")
    assert (kept.stop, len(kept.rounds), kept.unseen.helped) == (Stop.HELD, 1, False)
    assert kept.verdict.startswith("nothing to learn from")
    assert kept.result.circuit.provenance["robust"]["stop"] == Stop.HELD.value


def test_an_empty_first_circuit_is_the_result_and_is_not_attacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.robust.round_attacks.search", never)
    kept = refined(method="eap", goal=Threshold(1e6))
    assert (kept.stop, kept.unseen.helped, kept.rounds, len(kept.result.circuit)) == (Stop.EMPTY, False, (), 0)
    assert kept.verdict == "there was nothing to learn from"
    record = kept.result.circuit.provenance
    assert record["robust"]["first"] == record["robust"]["last"]
    assert record["algorithm"]["largest"]["edge"]


@pytest.mark.usefixtures("discovered")
def test_what_needs_no_counterexample_is_not_put_down_to_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Circuit(subject().model.graph, truth() | hidden_edges(SEED))
    larger = CandidateCircuit(whole, "kl", summary=SearchSummary(CurvePoint(0.1, 6, 1.0, 0), (), {}))
    monkeypatch.setattr(
        "acdc.robust.learning._RobustSearch._rediscovered",
        lambda _, number, counterexamples, most: [] if counterexamples else [larger],
    )
    kept = refined()
    assert (kept.unseen.helped, kept.counterexamples, kept.rounds[1].added.found_by) == (True, 0, {})
    assert kept.verdict.startswith("it helped by its size alone, not by what it could have learned: ")
    plain = problems(task(), subject().model, SETUP)[0].pairs.fingerprint()
    assert kept.result.circuit.provenance["prompts"]["discovery"]["hash"] == f"sha256:{plain}"
