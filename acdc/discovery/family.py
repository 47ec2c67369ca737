"""The circuits of all sizes that a search gives, each measured on the judgement prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acdc.discovery.selection import Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import Faithfulness, faithfulness_of_each
from acdc.problem import Problem

EVERY = 24
"""Up to so many edges, every size is measured; beyond, six sizes for each factor of ten."""
_STEPS = (1, 1.5, 2, 3, 5, 7)
_BEYOND = 2
"""Sizes go on to this many times that of the circuit that was found."""


@dataclass(frozen=True)
class MeasuredCircuit:
    """A circuit and how faithful it was measured to be."""

    circuit: Circuit
    faithfulness: Faithfulness


def family(
    problem: Problem, found: Circuit, joining: Mapping[Edge, float | None], seed: int = 0
) -> tuple[MeasuredCircuit, ...]:
    """The circuit that was found and those of other sizes from the same search, smallest first, all measured.

    Those of other sizes are beginnings of the order in which edges join, freed of dead edges: each holds the smaller
    ones. Where one of them has the size of the circuit that was found, that one stands in its place. The numbers of
    edges are those that are met nearest to 1, 2, 3 and so on, and from `EVERY` on to steps of a factor of about 1.5.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    by_size = {len(one): one for one in beginnings(found, joining)} | {len(found): found}
    circuits = [by_size[size] for size in sorted(by_size)]
    judged = faithfulness_of_each(problem, circuits, seed)
    return tuple(MeasuredCircuit(*pair) for pair in zip(circuits, judged, strict=True))


def beginnings(found: Circuit, joining: Mapping[Edge, float | None]) -> tuple[Circuit, ...]:
    """The circuits without dead edges that the order begins with, of the sizes that `family` measures, not measured."""
    scores = {edge: score for edge, score in joining.items() if score is not None}
    selection = Selection(Circuit(found.graph, frozenset(joining), scores), tuple(joining))
    circuits: list[Circuit] = []
    taken = 0
    for size in _sizes(_BEYOND * len(found)):
        taken = _longest(selection, size, taken)
        circuit = selection.first(taken)
        if circuit.edges and (not circuits or circuit.edges != circuits[-1].edges):
            circuits.append(circuit)
        if taken == len(joining):
            break
    return tuple(circuits)


def _sizes(most: int) -> list[int]:
    beyond = [round(step * 10**power) for power in range(1, 7) for step in _STEPS]
    return [*range(1, min(EVERY, most) + 1), *(size for size in beyond if EVERY < size <= most)]


def _longest(selection: Selection, size: int, taken: int) -> int:
    """The longest beginning, of at least `taken` edges, whose circuit is of at most this size."""
    step = max(size, 1)
    high = taken
    while high < len(selection.order) and len(selection.first(high)) <= size:
        taken, high, step = high, min(high + step, len(selection.order)), 2 * step
    if len(selection.first(high)) <= size:
        return high
    while high - taken > 1:
        middle = (taken + high) // 2
        taken, high = (middle, high) if len(selection.first(middle)) <= size else (taken, middle)
    return taken
