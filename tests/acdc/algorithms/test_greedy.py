"""Greedy pruning decides as the published algorithm does, however many candidates it tries at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from acdc import graphs, tasks
from acdc.algorithms import greedy, trials
from acdc.algorithms.greedy import GreedyPruning, Pruned, Step
from acdc.algorithms.trials import Trials
from acdc.batch import Batching
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.nodes import Edge, Receiver
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, metric
from tests.acdc.algorithms.naive_greedy import naive_greedy
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints

TWO_LENGTHS = (4, 11, 4, 11, 11)


@pytest.fixture
def problem(checkpoints: Checkpoints) -> Problem:
    """A small problem whose metric gets worse with every first removal."""
    model = checkpoints.model("llama")
    return Problem(model, behaviour(model, (9, 9, 9, 9)), KLDivergence())


def effect(problem: Problem) -> float:
    """How much the metric changes when nothing is left."""
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0].mean(-1)
    return abs(float(full - none))


def kept(pruned: Pruned) -> dict[str, float]:
    return {edge.name: pruned.circuit.scores[edge] for edge in pruned.circuit.edges}


def steps(algorithm: GreedyPruning, problem: Problem) -> list[Step]:
    return list(algorithm.walk(problem))


Case = tuple[Ablation, str, float]
"""An ablation, a metric, and the threshold as a fraction of all that ablation takes away."""

CASES: dict[Architecture, tuple[Case, ...]] = {
    "gpt2": ((Ablation.RESAMPLE, "kl", 0.1), (Ablation.MEAN, "logit_difference", 0.06)),
    "gpt_neox": ((Ablation.ZERO, "kl", 0.1), (Ablation.RESAMPLE, "logit_difference", 0.04)),
    "llama": (
        (Ablation.MEAN, "kl", 0.03),
        (Ablation.MEAN_POSITIONAL, "logit_difference", 0.2),
        (Ablation.ZERO, "logit_difference", 0.2),
    ),
    "gemma2": (
        (Ablation.MEAN, "logit_difference", 0.03),
        (Ablation.MEAN_POSITIONAL, "kl", 0.2),
    ),
}
"""Every ablation with either metric, and either metric on every architecture."""


@pytest.mark.parametrize("architecture", CASES)
def test_edges_and_scores_are_those_of_one_run_per_edge(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    pairs = behaviour(model, TWO_LENGTHS)
    sizes = set()
    for ablation, measured, fraction in CASES[architecture]:
        problem = Problem(model, pairs, metric(measured), ablation)
        threshold = effect(problem) * fraction
        wanted = naive_greedy(problem, threshold)
        sizes.add(len(wanted))
        for algorithm, asked in (
            (GreedyPruning(threshold, batch=1), problem),
            (GreedyPruning(threshold, batch=3), replace(problem, batching=Batching(2))),
            (GreedyPruning(threshold), problem),
        ):
            what = f"{ablation}, {measured}, {algorithm}, prompts in batches of {asked.batching.prompts}"
            assert kept(algorithm.discover(asked)) == pytest.approx(wanted, rel=0, abs=1e-9), what
    assert len(sizes) > 1, "thresholds that all keep as much would test little"
    assert max(sizes) > 10


@pytest.mark.parametrize("algorithm", [GreedyPruning(1e-3), GreedyPruning(1e-3, batch=2)])
def test_the_state_it_ends_in_is_its_circuit_measured_afresh(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, algorithm: GreedyPruning
) -> None:
    made: list[IncrementalExecutor] = []

    class Recorded(IncrementalExecutor):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(trials, "IncrementalExecutor", Recorded)
    model = checkpoints.model("gemma2")
    problem = Problem(model, behaviour(model, TWO_LENGTHS), KLDivergence(), Ablation.MEAN_POSITIONAL)
    circuit = algorithm.discover(problem).circuit
    assert 0 < len(circuit) < problem.graph.n_edges
    assert len(made) == 2
    for batch, executor in zip(problem.batches, made, strict=True):
        assert (executor.kept.numpy() == circuit.mask()).all()
        [fresh] = Executor.of(batch.runs).run([circuit])
        torch.testing.assert_close(executor.logits, fresh, rtol=0, atol=1e-9)


def test_as_little_memory_as_one_candidate_needs_changes_nothing(problem: Problem) -> None:
    threshold = effect(problem) / 50
    roomy, cramped = GreedyPruning(threshold).discover(problem), GreedyPruning(threshold, max_bytes=1).discover(problem)
    assert kept(cramped) == pytest.approx(kept(roomy), rel=0, abs=1e-9)
    assert cramped.tested == roomy.tested
    assert cramped.evaluated == cramped.tested  # a circuit for each candidate, so none of them was run in vain
    assert roomy.evaluated > roomy.tested


def test_a_removal_that_costs_just_the_threshold_is_not_made(problem: Problem) -> None:
    first = Edge(problem.graph.senders[-1], problem.graph.receivers[-1].node)
    cost = GreedyPruning(1e-9, batch=1).discover(problem).circuit.scores[first]
    assert first in GreedyPruning(cost, batch=1).discover(problem).circuit
    assert first not in GreedyPruning(math.nextafter(cost, math.inf), batch=1).discover(problem).circuit


def test_a_removal_that_helps_is_made_whatever_the_threshold(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("llama")
    problem = Problem(model, behaviour(model, TWO_LENGTHS), metric("logit_difference"))
    pruned = GreedyPruning(1e-12).discover(problem)
    assert all(score >= 1e-12 for score in pruned.circuit.scores.values())
    full, left = problem.measure([Circuit.full(problem.graph), pruned.circuit])[0].mean(-1)
    assert left > full + 0.1


def test_nodes_that_reach_nothing_lose_their_edges_untested(problem: Problem) -> None:
    pruned, walked = GreedyPruning(1e6).discover(problem), steps(GreedyPruning(1e6), problem)
    logits = problem.graph.receivers[-1]
    assert len(pruned.circuit) == 0
    assert pruned.tested == problem.graph.reads(logits)
    assert [step.receiver for step in walked if step.tested] == [logits]


def test_steps_tell_of_every_receiver_once_from_the_logits_back(problem: Problem) -> None:
    algorithm = GreedyPruning(effect(problem) / 20)
    pruned, walked = algorithm.discover(problem), steps(algorithm, problem)
    receivers = problem.graph.receivers
    assert [step.receiver for step in walked] == list(reversed(receivers))
    assert [step.done for step in walked] == list(range(1, len(receivers) + 1))
    assert {step.total for step in walked} == {len(receivers)}
    assert sum(step.tested for step in walked) == pruned.tested
    assert {step.receiver: step.kept for step in walked if step.kept} == {
        receiver: count
        for receiver in receivers
        if (count := sum(edge.target == receiver for edge in pruned.circuit.edges))
    }


def test_the_closest_decision_is_how_far_the_threshold_may_move(problem: Problem) -> None:
    threshold = effect(problem) / 20
    pruned = GreedyPruning(threshold).discover(problem)
    assert 0 < pruned.closest < threshold
    for nearby in (threshold - 0.99 * pruned.closest, threshold + 0.99 * pruned.closest):
        assert GreedyPruning(nearby).discover(problem).circuit == pruned.circuit
    over = [GreedyPruning(threshold + side * 1.01 * pruned.closest).discover(problem) for side in (1, -1)]
    assert any(kept(other) != kept(pruned) for other in over)


def test_pruning_twice_gives_the_same_scores_to_the_last_bit(problem: Problem) -> None:
    algorithm = GreedyPruning(effect(problem) / 50)
    assert kept(algorithm.discover(problem)) == kept(algorithm.discover(problem))


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_a_threshold_that_separates_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(BadSetting, match="threshold"):
        GreedyPruning(threshold)


def test_a_negative_number_of_candidates_is_refused() -> None:
    with pytest.raises(BadSetting, match="-1 candidates"):
        GreedyPruning(0.1, batch=-1)


@pytest.mark.parametrize(("name", "task"), [("periodic-2l", "periodic"), ("everyday-4l", "ioi")])
def test_on_the_shipped_models_batches_decide_as_one_at_a_time_does(name: str, task: str) -> None:
    model = graphs.load(tasks.shipped_model(name))
    behaviour = tasks.get(task)
    problem = Problem(model, behaviour.build(model.tokenizer, 4, 0).discovery, metric(behaviour.metric))
    sizes = []
    for fraction in (0.5, 0.03):
        threshold = effect(problem) * fraction
        alone, together = (
            GreedyPruning(threshold, batch=1).discover(problem),
            GreedyPruning(threshold).discover(problem),
        )
        assert together.circuit == alone.circuit, f"threshold {threshold}, closest decision {alone.closest}"
        assert together.tested == alone.tested
        sizes.append(len(alone.circuit))
    assert sizes[0] < sizes[1]


def test_a_batch_ends_with_a_sender_that_was_kept_twice(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after one that is kept would be tried in vain."""
    tried: list[tuple[Receiver, list[int]]] = []

    class Watched(Trials):
        def costs(self, receiver: Receiver, senders: Sequence[int], **settings: Any) -> Tensor:
            tried.append((receiver, list(senders)))
            return super().costs(receiver, senders, **settings)

    monkeypatch.setattr(greedy, "Trials", Watched)
    full, none = problem.bounds
    pruned = GreedyPruning(abs(full - none) / 50).discover(problem)
    order = {receiver: index for index, receiver in enumerate(reversed(problem.graph.receivers))}
    early = 0
    for receiver, senders in tried:
        before = [edge for edge in pruned.circuit.edges if order[edge.target] < order[receiver]]
        twice = {u for u in senders if sum(e.sender == problem.graph.senders[u] for e in before) > 1}
        assert not twice & set(senders[:-1])
        early += bool(twice)
    assert early, "none was predicted"
