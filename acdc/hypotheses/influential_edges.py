"""The edges that, put in or taken out alone, change a value most towards what was claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from acdc.drain import drain

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.nodes import Edge
    from acdc.problem import Problem

TRIED = 24
"""How many edges are tried in each direction: those that attribution puts first."""
SHOWN = 5


@dataclass(frozen=True)
class InfluentialEdge:
    """An edge by name, and what there is against it in a few words."""

    edge: str
    words: str


def movers(
    problem: Problem,
    circuit: Circuit,
    values: Callable[[Sequence[Circuit]], list[float]],
    *,
    upwards: bool,
    strengthen: bool,
) -> tuple[InfluentialEdge, ...]:
    """The edges that alone move a circuit's value most, each measured with the edge put in or taken out.

    `upwards` says which way the value should move, `strengthen` whether more of the behaviour moves it there; edges are
    tried in the order of their effect on the behaviour, to first order.
    """
    helps = _effects(problem)
    sign = 1 if strengthen else -1
    order = sorted(helps, key=lambda edge: sign * helps[edge])
    inside = [edge for edge in order if edge in circuit][:TRIED]
    outside = [edge for edge in reversed(order) if edge not in circuit][:TRIED]
    changed = [("without it", edge, circuit.without([edge])) for edge in inside]
    changed += [("with it", edge, replace(circuit, edges=circuit.edges | {edge})) for edge in outside]
    now, *then = values([circuit, *(other for _, _, other in changed)])
    gains = [value - now if upwards else now - value for value in then]
    ranked = sorted(range(len(changed)), key=lambda index: -gains[index])
    return tuple(
        InfluentialEdge(changed[index][1].name, f"{changed[index][0]} {then[index]:.3g}")
        for index in ranked[:SHOWN]
        if gains[index] > 1e-6
    )


def expendable(problem: Problem, circuit: Circuit) -> tuple[InfluentialEdge, ...]:
    """The edges that the circuit loses least without, by the mean metric."""
    edges = circuit.ordered()
    if not edges:
        return ()
    found: list[float] = problem.measure([circuit.without([edge]) for edge in edges])[0].mean(-1).tolist()
    ranked = sorted(range(len(edges)), key=lambda index: -problem.metric.sign * found[index])
    words = problem.metric.name.replace("_", " ")
    return tuple(
        InfluentialEdge(edges[index].name, f"without it {words} {found[index]:.3g}") for index in ranked[:SHOWN]
    )


def named(edges: Iterable[Edge], words: str) -> tuple[InfluentialEdge, ...]:
    """These edges, all with the same words."""
    return tuple(InfluentialEdge(edge.name, words) for edge in edges)


def _effects(problem: Problem) -> dict[Edge, float]:
    """How much each edge helps the behaviour in the whole model, to first order."""
    from acdc.algorithms.attribution import IntegratedGradients
    from acdc.tasks.metrics import LogitDifference

    if not problem.metric.differentiable:
        problem = replace(problem, metric=LogitDifference())
    return dict(drain(IntegratedGradients(steps=2).walk(problem)).scores)
