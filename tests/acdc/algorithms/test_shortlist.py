"""Pruning a shortlist decides as greedy pruning does where all edges are on it, and measures whatever else goes."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from acdc.algorithms import shortlist
from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import GreedyPruning, Step, WalkState
from acdc.algorithms.scores import ScoringStep
from acdc.algorithms.shortlist import ShortlistPruning
from acdc.errors import BadSetting
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def problem(checkpoints: Checkpoints) -> Problem:
    model = checkpoints.model("llama")
    return Problem(model, behaviour(model, (9, 9, 4, 9)), KLDivergence())


def threshold_of(problem: Problem, fraction: float = 0.05) -> float:
    full, none = problem.bounds
    return abs(full - none) * fraction


def of(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so many edges on the shortlist, whatever the threshold."""
    monkeypatch.setattr(shortlist, "PART", 1e12)
    monkeypatch.setattr(shortlist, "FEWEST", count)


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_with_every_edge_on_it_the_circuit_is_that_of_greedy_pruning(problem: Problem, ablation: Ablation) -> None:
    asked = replace(problem, ablation=ablation)
    threshold = threshold_of(asked)
    wanted, got = GreedyPruning(threshold).discover(asked), ShortlistPruning(threshold).discover(asked)
    assert got.shortlist is not None
    assert (got.shortlist.edges, got.shortlist.cost) == (asked.graph.n_edges, 0.0)  # so few edges are all on it
    assert got.circuit == wanted.circuit
    assert got.circuit.scores == wanted.circuit.scores


def test_the_edges_of_the_highest_scores_are_on_it(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    of(12, monkeypatch)
    scored = ended(IntegratedGradients("inputs", 5).walk(problem))
    listed = ShortlistPruning(1.0).shortlist(scored)
    named = Circuit.from_mask(problem.graph, listed.numpy())
    wanted = sorted(scored.scores, key=lambda edge: -abs(scored.scores[edge]))[:12]
    assert named.edges == frozenset(wanted)


def test_a_tenth_of_the_threshold_puts_an_edge_on_it(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "FEWEST", 3)
    monkeypatch.setattr(shortlist, "LARGEST", 0.5)
    scored = ended(IntegratedGradients("inputs", 5).walk(problem))
    sizes = sorted((abs(score) for score in scored.scores.values()), reverse=True)
    for count in (10, 20):
        assert int(ShortlistPruning(9.999 * sizes[count - 1]).shortlist(scored).sum()) == count
    assert int(ShortlistPruning(1e9).shortlist(scored).sum()) == 3
    assert int(ShortlistPruning(1e-9).shortlist(scored).sum()) == math.ceil(0.5 * len(sizes))


@pytest.mark.parametrize("count", [0, 8, 30])
def test_what_goes_untried_is_measured_and_every_kept_edge_was_tried(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    of(max(count, 1), monkeypatch)
    threshold = threshold_of(problem)
    scored = ended(IntegratedGradients("inputs", 5).walk(problem))
    pruned = ended(ShortlistPruning(threshold).walk(problem, None, scored))
    assert pruned.shortlist is not None
    assert pruned.shortlist.edges == max(count, 1)
    assert 0 < len(pruned.circuit) < problem.graph.n_edges
    assert all(score >= threshold for score in pruned.circuit.scores.values())
    assert pruned.evaluated > pruned.shortlist.edges or count == 0
    # the costs of all removals, one by one and together, add up to what the circuit has lost
    lost = problem.bounds[0] - float(problem.measure([pruned.circuit])[0].mean())
    assert pruned.shortlist.cost <= lost * problem.metric.sign + 1e-9


def test_it_goes_on_from_any_receiver(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    of(15, monkeypatch)
    scored = ended(IntegratedGradients("inputs", 5).walk(problem))
    pruning = ShortlistPruning(threshold_of(problem))
    wanted, steps = finished(pruning.walk(problem, None, scored))
    receivers = [step for step in steps if isinstance(step, Step)]
    for step in receivers[:: len(receivers) // 3]:
        start = WalkState.of(asdict(step.position))
        assert ended(pruning.walk(problem, start, scored)) == wanted


def test_it_ranks_first_unless_the_ranking_is_given(problem: Problem) -> None:
    pruned, steps = finished(ShortlistPruning(threshold_of(problem)).walk(problem))
    assert isinstance(steps[0], ScoringStep)
    scored = ended(ShortlistPruning(1.0).ranking(problem))
    again, steps = finished(ShortlistPruning(threshold_of(problem)).walk(problem, None, scored))
    assert not any(isinstance(step, ScoringStep) for step in steps)
    assert again == pruned


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"threshold": math.nan}, {"threshold": 1.0, "batch": -1}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        ShortlistPruning(**wrong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_the_precisions_people_use_it_keeps_what_greedy_pruning_keeps(
    checkpoints: Checkpoints, dtype: torch.dtype
) -> None:
    model = checkpoints.model("gpt2", dtype)
    asked = Problem(model, behaviour(checkpoints.model("gpt2"), (9, 9, 9, 9)), KLDivergence())
    threshold = threshold_of(asked)
    assert ShortlistPruning(threshold).discover(asked).circuit == GreedyPruning(threshold).discover(asked).circuit
