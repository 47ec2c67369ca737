"""Two implementations can be put beside each other; how they compare is not tested."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from acdc import tasks
from acdc.algorithms.attribution import IntegratedGradients
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.models import load_model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from tests.benchmarks import peer
from tests.benchmarks.peer_process import Scoring, ScoringProcess

MODEL = "everyday-4l"


@pytest.fixture(scope="module")
def posed() -> tuple[Problem, Problem]:
    return problems(tasks.get("ioi"), load_model(MODEL), Setup("logit_difference", prompts=4))


@pytest.fixture(scope="module")
def scored(posed: tuple[Problem, Problem]) -> Circuit:
    return drain(IntegratedGradients(steps=2, tolerance=float("inf")).walk(posed[0]))


def test_a_process_scores_as_it_is_done_here(posed: tuple[Problem, Problem], scored: Circuit, tmp_path: Path) -> None:
    task = peer.scoring_task(str(tasks.shipped_model(MODEL)), posed[0].pairs, Scoring(2), 1)
    with ScoringProcess(sys.executable, "tests.benchmarks.peer_ours", task, tmp_path) as process:
        [spent] = peer.in_turns([process], 2)
        found = peer.scored_by(process, scored.graph)
    assert set(process.versions) == {"torch", "transformer_lens"}
    assert spent.points == 2
    assert spent.seconds > 0
    assert spent.cpu_seconds > 0
    assert spent.peak_mb > spent.above_mb > 0
    assert found.scores == pytest.approx(scored.scores, abs=1e-6)


def test_an_implementation_that_is_not_installed_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--peer-python", sys.executable, "--model", MODEL, "--prompts", "4", "--out", str(tmp_path / "peer.json")]
    assert peer.main(asked) == 3
    said = capsys.readouterr().err
    assert "No module named 'circuitkit'" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "peer.json").exists()


def test_a_python_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert peer.main(["--peer-python", "no/such/python", "--model", MODEL]) == 2
    assert "no/such/python" in capsys.readouterr().err


def test_a_ranking_agrees_with_itself_and_not_with_its_opposite(scored: Circuit) -> None:
    opposite = replace(scored, scores={edge: -score for edge, score in scored.scores.items()})
    same, other = (peer.RankingAgreement.of(scored, one) for one in (scored, opposite))
    assert (same.pearson, same.spearman, same.common) == pytest.approx((1, 1, 1))
    assert (other.pearson, other.spearman, other.common) == pytest.approx((-1, -1, 1))


def test_every_level_is_reached_and_measured_on_other_prompts(posed: tuple[Problem, Problem], scored: Circuit) -> None:
    reached = list(peer.sizes(scored, *posed))
    assert [one.level for one in reached] == list(peer.LEVELS)
    assert all(one.kept >= one.level and one.judged != one.kept for one in reached)
    assert all(0 < one.edges <= scored.graph.n_edges for one in reached)
