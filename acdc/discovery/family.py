"""The circuits of all sizes that a search gives, each measured on the judgement prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acdc.discovery.defaults import LARGE
from acdc.discovery.selection import Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.distance import Watch
from acdc.judges.faithfulness import Faithfulness, faithfulness_of_each
from acdc.problem import Problem

EVERY = 12
"""Up to so many edges, every size that is met is measured."""
_APART = 1.4
"""Beyond, a size is measured that is so many times the one before it, or more."""
_DENSE, _DENSE_IF_LARGE = 300, 100
"""From so many edges on a circuit takes about as long as the whole model, and sizes stand a factor of two apart."""
_APART_DENSE = 2.0
_STEP = 1.1
_BEYOND = 2
"""Sizes go on to this many times that of the circuit that was found, but beyond it not above `_FAR`."""
_FAR = 2_000


@dataclass(frozen=True)
class MeasuredCircuit:
    """A circuit and how faithful it was measured to be."""

    circuit: Circuit
    faithfulness: Faithfulness


def family(
    problem: Problem,
    found: Circuit,
    joining: Mapping[Edge, float | None],
    seed: int = 0,
    watch: Watch | None = None,
) -> tuple[MeasuredCircuit, ...]:
    """The circuit that was found and those of other sizes from the same search, smallest first, all measured.

    Those of other sizes are beginnings of the order in which edges join, freed of dead edges: each holds the smaller
    ones. Where one of them has the size of the circuit that was found, that one stands in its place.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    by_size = {len(one): one for one in beginnings(found, joining)} | {len(found): found}
    circuits = [by_size[size] for size in sorted(by_size)]
    judged = faithfulness_of_each(problem, circuits, seed, watch, "measuring circuits of other sizes")
    return tuple(MeasuredCircuit(*pair) for pair in zip(circuits, judged, strict=True))


def beginnings(found: Circuit, joining: Mapping[Edge, float | None]) -> tuple[Circuit, ...]:
    """The circuits without dead edges that the order begins with, of the sizes that `family` measures, not measured."""
    scores = {edge: score for edge, score in joining.items() if score is not None}
    selection = Selection(Circuit(found.graph, frozenset(joining), scores), tuple(joining))
    circuits: list[Circuit] = []
    dense = _DENSE if found.graph.n_edges < LARGE else _DENSE_IF_LARGE
    taken, last = 0, max(len(found), min(_BEYOND * len(found), _FAR))
    while taken < len(joining):
        taken = min(len(joining), max(taken + 1, int(taken * _STEP)))
        circuit = selection.first(taken)
        if len(circuit) > last:
            break
        before = len(circuits[-1]) if circuits else 0
        apart = _APART if before < dense else _APART_DENSE
        if len(circuit) > before and (len(circuit) <= EVERY or len(circuit) >= apart * before):
            circuits.append(circuit)
    return tuple(circuits)
