"""Make a circuit one-minimal: no single edge of it can be removed within the threshold."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.trials import Trials
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.nodes import Edge
from acdc.problem import Problem


@dataclass(frozen=True)
class Refined:
    """A one-minimal circuit without dead edges, each edge scored by what removing it from this very circuit costs.

    `tested` counts candidate removals in all sweeps, `evaluated` the circuits run for them, `sweeps` the sweeps, of
    which the last removed nothing: it is the certificate.
    """

    circuit: Circuit
    tested: int
    evaluated: int
    sweeps: int


@dataclass(frozen=True)
class Swept:
    """One receiver of a sweep: how many receivers are done of how many, and how many edges the sweep has kept."""

    sweep: int
    done: int
    total: int
    kept: int


@dataclass(frozen=True)
class OneMinimalSweep:
    """Sweep the edges from the logits back, dropping each that costs less than `threshold`, until none is dropped."""

    threshold: float
    max_bytes: int = 1 << 30

    def refine(self, problem: Problem, circuit: Circuit) -> Refined:
        """The circuit that is left when a whole sweep removes nothing."""
        return drain(self.walk(problem, circuit))

    @torch.no_grad()
    def walk(self, problem: Problem, circuit: Circuit) -> Generator[Swept, None, Refined]:
        """The same, receiver by receiver; the generator returns the `Refined`."""
        with freed_memory_kept():
            return (yield from self._sweep(problem, circuit))

    @torch.no_grad()
    def _sweep(self, problem: Problem, circuit: Circuit) -> Generator[Swept, None, Refined]:
        graph, tested, evaluated, sweeps = problem.graph, 0, 0, 0
        while True:
            circuit = circuit.pruned()
            trials = Trials(problem, self.max_bytes, torch.from_numpy(circuit.mask()), len(graph.receivers))
            scores: dict[Edge, float] = {}
            for done, receiver in enumerate(reversed(graph.receivers), start=1):
                trials.begin(receiver)
                left = trials.kept[graph.receiver_index[receiver]].nonzero().squeeze(1).tolist()[::-1]
                while left:
                    costs = trials.costs(receiver, left[: trials.room(receiver)], together=False)
                    cheap = (costs < self.threshold).nonzero()
                    decided = int(cheap[0]) if len(cheap) else len(costs)
                    for index in range(decided):
                        scores[Edge(graph.senders[left[index]], *receiver)] = float(costs[index])
                    tested, evaluated = tested + decided + bool(len(cheap)), evaluated + len(costs)
                    if len(cheap):
                        trials.costs(receiver, [left[decided]])
                        trials.accept(1)
                        evaluated += 1
                    left = left[decided + bool(len(cheap)) :]
                yield Swept(sweeps + 1, done, len(graph.receivers), len(scores))
            sweeps += 1
            if len(scores) == len(circuit):
                return Refined(Circuit(graph, circuit.edges, scores, circuit.provenance), tested, evaluated, sweeps)
            circuit = Circuit(graph, frozenset(scores), scores, circuit.provenance)
