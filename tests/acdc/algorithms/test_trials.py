"""Trials cost what whole runs say, and memory that runs out changes no decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor

from acdc.algorithms import trials
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning, Pruned
from acdc.algorithms.trials import Trials
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.nodes import Edge, Receiver
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence
from tests.acdc.algorithms.walks import ended


@pytest.fixture(scope="module")
def problem(measurable: Problem) -> Problem:
    """A problem of two batches."""
    problem = replace(measurable, metric=KLDivergence())
    assert len(problem.batches) == 2
    return problem


class Machine:
    """How many candidates fit into its memory, and what was tried on it."""

    def __init__(self, fits: int, error: Exception) -> None:
        self.fits, self.error = fits, error
        self.tried: list[int] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine = self

        class Small(IncrementalExecutor):
            def try_residuals(
                self, receiver: Receiver, senders: Sequence[int], *, together: bool = True, at_once: int | None = None
            ) -> Tensor:
                machine.tried.append(len(senders))
                if len(senders) > machine.fits:
                    raise machine.error
                return super().try_residuals(receiver, senders, together=together, at_once=at_once)

        monkeypatch.setattr(trials, "IncrementalExecutor", Small)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
]


def kept(pruned: Pruned) -> dict[str, float]:
    return {edge.name: pruned.circuit.scores[edge] for edge in pruned.circuit.edges}


@lru_cache
def pruned(problem: Problem, pruning: GreedyPruning) -> Pruned:
    """What pruning leaves where memory suffices."""
    return pruning.discover(problem)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["gpu", "cpu"])
@pytest.mark.parametrize("refine", [False, True])
def test_where_memory_runs_out_fewer_are_tried_and_decided_alike(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, error: Exception, refine: bool
) -> None:
    full, none = problem.bounds
    pruning = GreedyPruning(abs(full - none) / 20, refine=refine)
    roomy = pruned(problem, pruning)
    machine = Machine(2, error)
    machine.install(monkeypatch)
    cramped = pruning.discover(problem)
    assert max(machine.tried) > 2, "it must have run out"
    assert sum(tried > 2 for tried in machine.tried) < 10, "not again and again"
    assert 10 < len(roomy.circuit) < problem.graph.n_edges
    assert kept(cramped) == pytest.approx(kept(roomy), rel=0, abs=1e-10)
    assert cramped.tested == roomy.tested


def test_exact_effects_survive_it_too(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = ended(ExactPatching().walk(problem)).scores
    machine = Machine(3, OUT_OF_MEMORY[0])
    machine.install(monkeypatch)
    assert dict(ended(ExactPatching().walk(problem)).scores) == pytest.approx(dict(roomy), rel=0, abs=1e-10)
    assert max(machine.tried) > 3


@pytest.mark.parametrize(
    ("fits", "error"),
    [(0, OUT_OF_MEMORY[0]), (2, RuntimeError("The size of tensor a must match the size of tensor b"))],
    ids=["not even one fits", "another error"],
)
def test_what_fewer_candidates_do_not_cure_is_told(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, fits: int, error: Exception
) -> None:
    machine = Machine(fits, error)
    machine.install(monkeypatch)
    with pytest.raises(type(error), match=str(error)[:20]):
        GreedyPruning(0.1).discover(problem)
    assert machine.tried[-1] == (1 if fits == 0 else machine.tried[0])


@pytest.mark.parametrize("together", [True, False])
def test_costs_are_how_much_worse_whole_runs_are(problem: Problem, together: bool) -> None:
    """Of removals from a circuit that has lost some edges already."""
    receivers = problem.graph.receivers
    with torch.no_grad():
        trial = Trials(problem, 1 << 30)
        trial.begin(receivers[-1])
        trial.costs(receivers[-1], [5, 3])
        trial.accept(2)
        trial.begin(receivers[-2])
        costs = trial.costs(receivers[-2], [6, 0, 2], together=together).tolist()
    circuit = Circuit.from_mask(problem.graph, trial.kept.numpy())
    assert len(circuit) == problem.graph.n_edges - 2
    edges = [Edge(problem.graph.senders[sender], *receivers[-2]) for sender in (6, 0, 2)]
    nested = [circuit, *(circuit.without(edges[: count + 1]) for count in range(3))]
    now, *values = problem.measure(nested if together else [circuit, *(circuit.without([e]) for e in edges)])[0].mean(
        -1
    )
    before = [now, *values[:-1]] if together else [now] * 3
    assert trial.now == pytest.approx(float(now), abs=1e-12)
    assert costs == pytest.approx([float(v - b) for v, b in zip(values, before, strict=True)], rel=0, abs=1e-10)
    assert max(map(abs, costs)) > 1e-3


@pytest.mark.parametrize("gone", [[0], [6, 0, 2], list(range(8))])
def test_the_cost_of_removing_several_at_once_is_that_of_whole_runs(problem: Problem, gone: list[int]) -> None:
    receiver = problem.graph.receivers[-2]
    with torch.no_grad():
        trial = Trials(problem, 1 << 30)
        trial.begin(problem.graph.receivers[-1])
        trial.begin(receiver)
        cost = trial.cost_of_removing(receiver, gone)
        trial.accept(1)
    circuit = Circuit.full(problem.graph).without([Edge(problem.graph.senders[sender], *receiver) for sender in gone])
    assert Circuit.from_mask(problem.graph, trial.kept.numpy()) == circuit
    whole, smaller = problem.measure([Circuit.full(problem.graph), circuit])[0].mean(-1)
    assert cost == pytest.approx(float(whole - smaller) * problem.metric.sign, rel=0, abs=1e-10)
    assert trial.now == pytest.approx(float(smaller), rel=0, abs=1e-10)


def test_after_the_first_candidate_that_costs_enough_none_is_measured(problem: Problem) -> None:
    receiver, senders = problem.graph.receivers[-1], list(range(8))[::-1]
    with torch.no_grad():
        trial = Trials(problem, 1 << 30)
        trial.begin(receiver)
        measured = trial.costs(receiver, senders)
        enough = float(measured.sort().values[-3]) - 1e-9  # whatever the rounding
        first = int((measured >= enough).nonzero()[0])
        assert first < len(senders) - 1
        screened = trial.costs(receiver, senders, enough=enough)
    assert float(screened[first]) == pytest.approx(float(measured[first]), rel=0, abs=1e-12)
    assert (screened[:first] < enough).all()
    assert (screened[first + 1 :] == math.inf).all()


def test_accepting_makes_the_circuit_of_the_moment_the_one_that_was_tried(problem: Problem) -> None:
    receiver = problem.graph.receivers[-1]
    with torch.no_grad():
        trial = Trials(problem, 1 << 30)
        trial.begin(receiver)
        start = trial.now
        costs = trial.costs(receiver, [5, 3, 1])
        trial.accept(2)
        assert trial.now == pytest.approx(start + float(costs[:2].sum()), abs=1e-12)
        trial.accept(0)
        assert int(trial.kept.sum()) == problem.graph.n_edges - 2


def test_room_is_at_least_for_one_and_grows_with_memory(problem: Problem) -> None:
    receiver = problem.graph.receivers[0]
    rooms: list[Any] = []
    for max_bytes in (1, 1 << 20, 1 << 30):
        with torch.no_grad():
            trial = Trials(problem, max_bytes)
            for earlier in reversed(problem.graph.receivers):
                trial.begin(earlier)
        rooms.append(trial.room(receiver))
    assert rooms[0] == 1
    assert rooms[0] < rooms[1] < rooms[2]
