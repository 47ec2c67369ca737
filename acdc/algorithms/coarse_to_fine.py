"""Coarse to fine: prune whole layers' parts, then nodes, then the inputs of heads, then edges among what is left.

Few large removals come before many small ones: what a node takes with it is never asked of edge by edge. A circuit of
whole nodes, which is the size that a person reads, is there after the second of the four stages.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from typing_extensions import assert_never

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import Pruned, require_threshold
from acdc.algorithms.grouped import Bisection
from acdc.algorithms.one_minimal import OneMinimalSweep, Swept
from acdc.algorithms.scores import ScoringStep
from acdc.drain import drain
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import INPUT, LOGITS, Edge
from acdc.problem import Problem

Level: TypeAlias = Literal["node", "slot", "edge"]
Stage: TypeAlias = Literal["blocks", "nodes", "slots", "edges"]
STAGES: Mapping[Level, tuple[Stage, ...]] = {
    "node": ("blocks", "nodes"),
    "slot": ("blocks", "nodes", "slots"),
    "edge": ("blocks", "nodes", "slots", "edges"),
}
"""What is removed one after another, by the level that it ends at."""
Unit: TypeAlias = frozenset[Edge]
"""Edges that are removed together or not at all."""


@dataclass(frozen=True)
class CoarseToFine:
    """Remove layers' attention and MLPs, then heads and MLPs, then slots, then edges, while each costs little.

    The units of the stages are all edges from and into a layer's heads, or its MLP; all from and into a head or an MLP;
    all into the query, key or value input of a head, which then reads the ablated run; and single edges. Of each stage,
    all units together go first; where the removal of a group costs `threshold` or more, it is halved, down to one unit.
    The cost is how much worse the mean metric gets, in its units, counted from the circuit of the moment. Groups are
    taken by the sum of their edges' attribution scores (integrated gradients over the inputs, `steps` of them), lowest
    first. `level` says after which stage to end: a circuit of level "node" has all edges between its nodes, input and
    logits; those of "slot" and, at the same threshold, "edge" are contained in it.

    The score of an edge is what removing the smallest unit cost that it was tested in: itself at level "edge", its slot
    at level "slot", and the lesser of its two nodes at level "node", and at level "slot" where it ends in no slot.
    `input->logits` belongs to no node and has no score there. The threshold is the same for a node as for an edge: what
    ends at nodes keeps each that is worth it, with all its edges, whatever these are worth.

    With `refine`, the circuit is then swept until no single edge can be removed within the threshold.

    Raises: BadSetting when the threshold is not positive and finite, there is no such level, or `refine` would take
    single edges from a circuit of nodes or slots.
    """

    threshold: float
    level: Level = "edge"
    steps: int = 5
    max_bytes: int = 1 << 30
    refine: bool = False

    def __post_init__(self) -> None:
        require_threshold(self.threshold)
        if self.level not in STAGES:
            raise BadSetting(f"unknown level {self.level!r}; wanted one of {', '.join(STAGES)}")
        if self.refine and self.level != "edge":
            raise BadSetting(f"a circuit of level {self.level!r} cannot be refined, which drops single edges")

    def discover(self, problem: Problem) -> Pruned:
        """The circuit left when every unit of every stage has been decided."""
        return drain(self.walk(problem))

    def ranking(self, problem: Problem) -> Generator[ScoringStep, None, Mapping[Edge, float]]:
        """The attribution of every edge, whatever the threshold and the level."""
        scored = yield from IntegratedGradients("inputs", self.steps).walk(problem)
        return scored.scores

    def walk(
        self, problem: Problem, ranking: Mapping[Edge, float] | None = None
    ) -> Generator[ScoringStep | Bisection | Swept, None, Pruned]:
        """The scoring, unless its `ranking` is given, then stage by stage; the generator returns the `Pruned`."""
        if ranking is None:
            ranking = yield from self.ranking(problem)
        removals = _Removals(problem, self.threshold)
        scores: dict[Edge, float] = {}
        for stage in STAGES[self.level]:
            units = _units(stage, removals.circuit)
            costs = yield from removals.halve(stage, sorted(units, key=lambda unit: _attribution(unit, ranking)))
            scores = {**(scores if stage in ("slots", "edges") else {}), **_least(costs)}
        circuit = removals.circuit
        scored = Circuit(circuit.graph, circuit.edges, {edge: scores[edge] for edge in circuit if edge in scores})
        if not self.refine:
            return Pruned(scored, removals.tested, removals.evaluated, removals.closest)
        refined = yield from OneMinimalSweep(self.threshold, self.max_bytes).walk(problem, scored)
        tested, evaluated = removals.tested + refined.tested, removals.evaluated + refined.evaluated
        return Pruned(refined.circuit, tested, evaluated, removals.closest, one_minimal=True)


@dataclass(frozen=True)
class _Group:
    """Units to remove together, and the mean metric without them where it is known.

    It is known of the circuit that is there after so many removals, and of no other.
    """

    units: Sequence[Unit]
    value: float = math.nan
    removals: int = -1


class _Removals:
    """The circuit of the moment, and what the removals that led to it took."""

    def __init__(self, problem: Problem, threshold: float) -> None:
        self._problem, self._threshold = problem, threshold
        self.circuit = Circuit.full(problem.graph)
        self._now = float(problem.measure([self.circuit])[0].mean())
        self._made = 0
        self.tested, self.evaluated, self.closest = 0, 0, math.inf

    def halve(self, stage: Stage, units: Sequence[Unit]) -> Generator[Bisection, None, dict[Unit, float]]:
        """Remove what can be removed of the units, in this order; the generator returns what each of the others cost.

        The halves of a group are measured together. Where one can go, what the other costs after it is known, since the
        circuit without both was measured.
        """
        costs: dict[Unit, float] = {}
        kept: set[Edge] = set()
        waiting, decided = [_Group(units)], 0
        while waiting:
            group = waiting.pop()
            left = [unit for unit in group.units if not unit.isdisjoint(self.circuit.edges)]
            decided += len(group.units) - len(left)
            if left:
                value = group.value if group.removals == self._made else self._without([left])[0]
                cost = self._cost(value)
                self.tested, self.closest = self.tested + 1, min(self.closest, abs(cost - self._threshold))
                if cost >= self._threshold and len(left) > 1:
                    waiting += self._halves(left, value)
                    continue
                decided += len(left)
                if cost < self._threshold:
                    self.circuit = self.circuit.without(_edges(left)).pruned()
                    self._now, self._made = value, self._made + 1
                else:
                    costs[left[0]] = cost
                    kept |= left[0] & self.circuit.edges
            yield Bisection(decided, len(units), len(kept), self.tested, stage)
        return costs

    def _halves(self, units: Sequence[Unit], value: float) -> tuple[_Group, _Group]:
        """The halves of units that cost too much together, that to be tried first last, given the metric without both.

        The second goes first where it can be removed and the first cannot.
        """
        middle, made = len(units) // 2, self._made
        first, second = units[:middle], units[middle:]
        one, other = self._without([first, second])
        if self._cost(one) < self._threshold:
            return _Group(second, value, made + 1), _Group(first, one, made)
        if self._cost(other) < self._threshold:
            return _Group(first, value, made + 1), _Group(second, other, made)
        return _Group(second, other, made), _Group(first, one, made)

    def _without(self, groups: Sequence[Sequence[Unit]]) -> list[float]:
        """The mean metric of the circuit of the moment without each of these."""
        self.evaluated += len(groups)
        circuits = [self.circuit.without(_edges(units)) for units in groups]
        values: list[float] = self._problem.measure(circuits)[0].mean(-1).tolist()
        return values

    def _cost(self, value: float) -> float:
        return (self._now - value) * float(self._problem.metric.sign)


def _edges(units: Iterable[Unit]) -> Unit:
    return frozenset[Edge]().union(*units)


def _units(stage: Stage, circuit: Circuit) -> list[Unit]:
    """The units of a stage, each with its edges in the circuit, in the graph's order."""
    units: dict[object, set[Edge]] = {}
    for edge in circuit:
        for key in _keys(stage, edge):
            units.setdefault(key, set()).add(edge)
    return [frozenset(unit) for unit in units.values()]


def _keys(stage: Stage, edge: Edge) -> Iterable[object]:
    """What the units of a stage that an edge belongs to are told apart by."""
    nodes = [node for node in (edge.sender, edge.receiver) if node not in (INPUT, LOGITS)]
    match stage:
        case "blocks":
            return [(node.kind, node.layer) for node in nodes]
        case "nodes":
            return nodes
        case "slots":
            return [edge.target] if edge.slot else []
        case "edges":
            return [edge]
        case _:
            assert_never(stage)


def _attribution(unit: Unit, ranking: Mapping[Edge, float]) -> float:
    return math.fsum(ranking[edge] for edge in unit)


def _least(costs: Mapping[Unit, float]) -> dict[Edge, float]:
    """Of every edge of these units, the least that one of its units cost."""
    least: dict[Edge, float] = {}
    for unit, cost in costs.items():
        least |= {edge: min(cost, least.get(edge, math.inf)) for edge in unit}
    return least
