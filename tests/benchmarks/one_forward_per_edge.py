"""Greedy pruning as it was: one forward per tested edge, by what that costs and by what it decides.

What it costs at least is one plain forward of the Hugging Face model over the same prompts for every edge tested, with
no hook in it and no metric. What it decides is seen by running the whole circuit once for every edge tested.

Source: Conmy et al. 2023 (arXiv:2304.14997), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from acdc.algorithms.greedy import Step, WalkState
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.execution.executor import Executor
from acdc.graphs.nodes import LOGITS, Edge, Receiver
from acdc.problem import Problem
from tests.benchmarks.subjects import Subject


def plain_forward(subject: Subject, *, corrupt: bool = False) -> Callable[[], None]:
    """One forward of the Hugging Face model over the clean or the corrupt prompts, in the batches that ours run in."""
    batches = subject.problem("kl").prompt_batches
    model = subject.plain

    @torch.no_grad()
    def forward() -> None:
        for batch in batches:
            model(batch.corrupt if corrupt else batch.clean, use_cache=False)

    return forward


@dataclass(frozen=True)
class OneAtATime:
    """Decide edges one after the other, the whole circuit run once for each."""

    problem: Problem
    threshold: float

    def decide(self, circuit: Circuit, receiver: Receiver) -> tuple[Circuit, int]:
        """The circuit once this receiver has been decided, and how many of its edges were tested."""
        incoming = self.problem.graph.incoming(receiver)
        if receiver.node != LOGITS and not any(edge.sender == receiver.node for edge in circuit.edges):
            return circuit.without(incoming), 0
        now = self._loss(circuit)
        for edge in reversed(incoming):
            candidate = circuit.without([edge])
            without = self._loss(candidate)
            if without - now < self.threshold:
                circuit, now = candidate, without
        return circuit, len(incoming)

    def prune(self) -> tuple[Circuit, int]:
        """The circuit once every receiver has been decided, and how many edges were tested."""
        circuit, total = Circuit.full(self.problem.graph), 0
        for receiver in reversed(self.problem.graph.receivers):
            circuit, tested = self.decide(circuit, receiver)
            total += tested
        return circuit, total

    def _loss(self, circuit: Circuit) -> float:
        metric, total = self.problem.metric, 0.0
        for batch in self.problem.batches:
            with torch.no_grad():
                values = metric(Executor.of(batch.runs).run([circuit])[0], batch.targets)
            total -= metric.sign * float(values.double().sum())
        return total / len(self.problem.pairs)


@dataclass(frozen=True)
class Trial:
    """One receiver decided by greedy pruning: the circuits before and after."""

    receiver: Receiver
    before: Circuit
    after: Circuit


def trials(walk: Iterable[Step], problem: Problem, count: int) -> list[Trial]:
    """Up to `count` of the receivers whose edges a walk tested, the first and the last and others spread between."""
    graph = problem.graph
    tested: list[tuple[Step, WalkState]] = []
    before = WalkState()
    for step in walk:
        if step.tested:
            tested.append((step, before))
        before = step.position
    indices = sorted({round(index * (len(tested) - 1) / max(1, count - 1)) for index in range(count)})
    return [
        Trial(step.receiver, _circuit(graph, before), _circuit(graph, step.position))
        for step, before in (tested[index] for index in indices)
    ]


def _circuit(graph: ComputationalGraph, position: WalkState) -> Circuit:
    """The circuit at this point of a walk: what it kept so far, and everything into the receivers still to come."""
    undecided = graph.receivers[: len(graph.receivers) - position.decided]
    whole = {edge for receiver in undecided for edge in graph.incoming(receiver)}
    return Circuit(graph, frozenset(whole | {Edge.parse(name) for name in position.scores}))
