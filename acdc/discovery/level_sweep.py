"""Drop single edges from a circuit that keeps what a goal asks for, the cheapest first, until it can spare none."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch

from acdc.algorithms.one_minimal import Refined, Swept
from acdc.algorithms.trials import Trials
from acdc.discovery.levels import LevelCheck, measured
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.settings import Level


@dataclass(frozen=True)
class LevelSweep:
    """Measure every single removal, make as many of the cheapest as the level allows, and again, until it allows none.

    Costs are in what the level is measured by: the problem's own metric for a faithfulness, nats for a KL. Whether the
    level is still reached is measured of the circuit that is left, never added up.
    """

    level: Level
    max_bytes: int = 1 << 30

    @torch.no_grad()
    def walk(self, problem: Problem, circuit: Circuit) -> Generator[Swept, None, Refined]:
        """The circuit that is left, which reaches the level, as this one must; without any edge of it it does not."""
        with freed_memory_kept():
            return (yield from self._sweep(problem, circuit.pruned()))

    def _sweep(self, problem: Problem, circuit: Circuit) -> Generator[Swept, None, Refined]:
        bar, tested, evaluated, sweeps = LevelCheck(self.level, problem), 0, 0, 0
        by_level = problem.by(bar.metric)
        while True:
            costs = yield from self._costs(by_level, circuit, sweeps + 1)
            sweeps, tested = sweeps + 1, tested + len(costs)
            slack = bar.slack(measured(problem, circuit, 0.0)) + problem.rounding
            spare = sorted((edge for edge in costs if costs[edge] <= slack), key=lambda edge: costs[edge])
            left, more = _without_the_first(problem, bar, circuit, spare)
            evaluated += len(costs) + more
            if left is None:
                return Refined(Circuit(circuit.graph, circuit.edges, costs), tested, evaluated, sweeps)
            circuit = left

    def _costs(self, problem: Problem, circuit: Circuit, sweep: int) -> Generator[Swept, None, dict[Edge, float]]:
        """What removing each edge alone costs."""
        graph, costs = problem.graph, dict[Edge, float]()
        trials = Trials(problem, self.max_bytes, torch.from_numpy(circuit.mask()), len(graph.receivers))
        for done, receiver in enumerate(reversed(graph.receivers), start=1):
            trials.begin(receiver)
            left = trials.kept[graph.receiver_index[receiver]].nonzero().squeeze(1).tolist()[::-1]
            while left:
                values = trials.costs(receiver, left[: trials.room(receiver)], together=False).tolist()
                costs |= {Edge(graph.senders[left[row]], *receiver): value for row, value in enumerate(values)}
                left = left[len(values) :]
            yield Swept(sweep, done, len(graph.receivers), len(circuit))
        return costs


def _without_the_first(
    problem: Problem, bar: LevelCheck, circuit: Circuit, spare: Sequence[Edge]
) -> tuple[Circuit | None, int]:
    """The circuit less the first edges of those it could spare alone, and how many circuits were measured for it.

    As many as halving finds; where not even the first, the first that can go alone. None where none can.
    """
    evaluated = 0

    def fine(edges: Sequence[Edge]) -> Circuit | None:
        nonlocal evaluated
        evaluated += 1
        left = circuit.without(edges).pruned()
        return left if bar.reached(measured(problem, left, 0.0)) else None

    best, low, high = None, 0, len(spare)
    while low < high:
        middle = high if best is None and not evaluated else (low + high + 1) // 2  # all of them first
        left = fine(spare[:middle])
        best, low, high = (best, low, middle - 1) if left is None else (left, middle, high)
    if best is None:
        best = next((left for edge in spare[1:] if (left := fine([edge])) is not None), None)
    return best, evaluated
