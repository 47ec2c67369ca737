"""The certificate of one-minimality, checked by the executor, which knows nothing of how it was come by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.grouped import GroupedPruning
from acdc.algorithms.one_minimal import OneMinimalSweep, Swept
from acdc.batch import Batching
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric, KLDivergence, LogitDifference
from tests.acdc.algorithms.walks import ended, finished

FRACTION = 0.03


def threshold_of(problem: Problem) -> float:
    full, none = problem.bounds
    return abs(full - none) * FRACTION


def costs(problem: Problem, circuit: Circuit) -> dict[Edge, float]:
    """What removing each edge of the circuit, alone, costs."""
    edges = circuit.ordered()
    now, *values = problem.measure([circuit, *(circuit.without([edge]) for edge in edges)])[0].mean(-1).tolist()
    worse = -1 if isinstance(problem.metric, LogitDifference) else 1
    return {edge: worse * (value - now) for edge, value in zip(edges, values, strict=True)}


@pytest.mark.parametrize("ablation", UNLEARNED)
@pytest.mark.parametrize("measured", [KLDivergence(), LogitDifference()], ids=["kl", "logit difference"])
def test_no_edge_of_a_refined_circuit_can_go_within_the_threshold(
    two_lengths: Problem, measured: AbstractMetric, ablation: Ablation
) -> None:
    problem = replace(two_lengths, metric=measured, ablation=ablation)
    threshold = threshold_of(problem)
    pruned = GreedyPruning(threshold).discover(problem)
    refined = OneMinimalSweep(threshold).refine(problem, pruned.circuit)
    assert refined.circuit <= pruned.circuit
    assert len(refined.circuit) > 0
    alone = costs(problem, refined.circuit)
    assert min(alone.values()) >= threshold - 1e-9
    assert dict(refined.circuit.scores) == pytest.approx(alone, rel=0, abs=1e-9)
    assert refined.circuit == refined.circuit.pruned()


def test_greedy_pruning_alone_leaves_edges_that_can_go(single_batch: Problem) -> None:
    """So that the sweeps have something to do, here and there."""
    problem = replace(single_batch, metric=KLDivergence())
    threshold = threshold_of(problem)
    pruned = GreedyPruning(threshold).discover(problem)
    refined = OneMinimalSweep(threshold).refine(problem, pruned.circuit)
    assert min(costs(problem, pruned.circuit).values()) < threshold
    assert refined.circuit < pruned.circuit
    assert refined.sweeps > 1
    assert refined.tested > len(pruned.circuit)
    assert not pruned.one_minimal


def test_refining_again_changes_nothing_and_takes_one_sweep(two_lengths: Problem) -> None:
    problem = replace(two_lengths, metric=KLDivergence())
    threshold = threshold_of(problem)
    once = OneMinimalSweep(threshold).refine(problem, GreedyPruning(threshold).discover(problem).circuit)
    twice = OneMinimalSweep(threshold).refine(problem, once.circuit)
    assert twice.circuit == once.circuit
    assert twice.circuit.scores == once.circuit.scores
    assert twice.sweeps == 1
    assert twice.tested == twice.evaluated == len(once.circuit)


def test_memory_and_batches_change_no_decision(two_lengths: Problem) -> None:
    problem = replace(two_lengths, metric=KLDivergence())
    threshold = threshold_of(problem)
    circuit = GreedyPruning(threshold).discover(problem).circuit
    roomy = OneMinimalSweep(threshold).refine(problem, circuit)
    cramped = OneMinimalSweep(threshold, max_bytes=1).refine(replace(problem, batching=Batching(2)), circuit)
    assert cramped.circuit == roomy.circuit
    assert dict(cramped.circuit.scores) == pytest.approx(dict(roomy.circuit.scores), rel=0, abs=1e-9)
    assert cramped.tested == roomy.tested


def test_dead_edges_are_no_part_of_the_certificate(measurable: Problem) -> None:
    """A circuit that is dead throughout is refined to none, untested."""
    edge = next(edge for edge in measurable.graph.edges() if edge.receiver.kind == "mlp")
    dead = Circuit(measurable.graph, frozenset({edge}))
    refined = OneMinimalSweep(0.1).refine(measurable, dead)
    assert (len(refined.circuit), refined.tested, refined.sweeps) == (0, 0, 1)


@pytest.mark.parametrize("grouped", [False, True], ids=["acdc", "eap+acdc"])
def test_pruning_that_refines_ends_in_the_refined_circuit_and_says_so(single_batch: Problem, grouped: bool) -> None:
    problem = replace(single_batch, metric=KLDivergence())
    threshold = threshold_of(problem)
    kind = GroupedPruning if grouped else GreedyPruning
    plain = ended(kind(threshold).walk(problem))
    pruned, steps = finished(kind(threshold, refine=True).walk(problem))
    sweeps = [step for step in steps if isinstance(step, Swept)]
    assert [step.done for step in sweeps if step.sweep == 1] == list(range(1, len(problem.graph.receivers) + 1))
    assert sweeps[-1].kept == len(pruned.circuit)
    refined = OneMinimalSweep(threshold).refine(problem, plain.circuit)
    assert pruned.circuit == refined.circuit
    assert pruned.circuit.scores == refined.circuit.scores
    assert pruned.tested == plain.tested + refined.tested
    assert pruned.evaluated == plain.evaluated + refined.evaluated
    assert (plain.one_minimal, pruned.one_minimal) == (False, True)
