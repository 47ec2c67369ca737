"""Attribution first, exact second: drop the edges that attribution ranks lowest, in big exact steps.

The order differs from ACDC's. ACDC walks the graph from the logits back and asks of each edge alone; this asks of the
lowest-ranked edges of the whole graph together, and of fewer together where that fails. Every removal made was
measured; which removals are tried, and in what order, is the ranking's doing, so the circuit need not be ACDC's.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import Pruned, require_threshold
from acdc.algorithms.one_minimal import OneMinimalSweep, Swept
from acdc.algorithms.scores import ScoringStep
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem


@dataclass(frozen=True)
class Bisection:
    """How far a grouped pruning is: what is decided, of how much, how many edges are kept, how many groups were tried.

    What is decided are edges, or the units of the `stage`, where there are several stages.
    """

    decided: int
    total: int
    kept: int
    tested: int
    stage: str = ""


@dataclass(frozen=True)
class GroupedPruning:
    """Remove a group of edges when their joint removal costs less than `threshold`; else halve it, down to one edge.

    The cost is how much worse the mean metric gets, in its units, counted from the circuit of the moment. Groups are
    taken in the order of signed attribution scores (integrated gradients over the inputs, `steps` of them), lowest
    first: edges that hurt, then edges that do nothing, then edges that help. The score of a kept edge is what removing
    it alone cost. With `refine`, the circuit is then swept until no single edge can be removed within the threshold.

    Raises: BadSetting when the threshold is not positive and finite.
    """

    threshold: float
    steps: int = 5
    max_bytes: int = 1 << 30
    refine: bool = False

    def __post_init__(self) -> None:
        require_threshold(self.threshold)

    def rank(self, problem: Problem) -> tuple[Edge, ...]:
        """All edges, from the lowest attribution to the highest; equals in the graph's order."""
        return drain(self.ranking(problem))

    def ranking(self, problem: Problem) -> Generator[ScoringStep, None, tuple[Edge, ...]]:
        """The scoring behind `rank`, whatever the threshold; the generator returns the order."""
        scored = yield from IntegratedGradients("inputs", self.steps).walk(problem)
        return tuple(sorted(scored.ordered(), key=lambda edge: scored.scores[edge]))

    def walk(
        self, problem: Problem, order: tuple[Edge, ...] | None = None
    ) -> Generator[ScoringStep | Bisection | Swept, None, Pruned]:
        """The scoring, unless its `order` is given, then group by group; the generator returns the `Pruned`."""
        if order is None:
            order = yield from self.ranking(problem)
        circuit = Circuit.full(problem.graph)
        now = self._mean(problem, circuit)
        groups = [range(len(order))]
        scores: dict[Edge, float] = {}
        tested, closest, decided = 0, math.inf, 0
        while groups:
            group = groups.pop()
            edges = [edge for edge in order[group.start : group.stop] if edge in circuit]
            if edges:
                smaller = circuit.without(edges)
                value = self._mean(problem, smaller)
                cost = (now - value) * problem.metric.sign
                tested += 1
                if cost >= self.threshold and len(edges) > 1:
                    middle = group.start + len(group) // 2
                    groups += [range(middle, group.stop), range(group.start, middle)]
                    continue
                closest = min(closest, abs(cost - self.threshold))
                if cost < self.threshold:
                    circuit, now = smaller.pruned(), value
                else:
                    scores[edges[0]] = cost
            decided += len(group)
            yield Bisection(decided, len(order), len(scores), tested)
        kept = {edge: score for edge, score in scores.items() if edge in circuit}
        circuit = Circuit(problem.graph, circuit.edges, kept)
        if not self.refine:
            return Pruned(circuit, tested, tested, closest)
        refined = yield from OneMinimalSweep(self.threshold, self.max_bytes).walk(problem, circuit)
        return Pruned(refined.circuit, tested + refined.tested, tested + refined.evaluated, closest, one_minimal=True)

    def _mean(self, problem: Problem, circuit: Circuit) -> float:
        return float(problem.measure([circuit])[0].mean())
