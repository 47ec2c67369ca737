"""Is anything missing that does the same? What is left of circuit and model when parts of the circuit are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.judges.distance import Watch
from acdc.progress import Progress

if TYPE_CHECKING:
    from acdc.graphs.nodes import Node
    from acdc.problem import Problem

NOTABLE = 0.01
"""By how much a union's gap must be wider than that of its part to be worth naming."""


@dataclass(frozen=True)
class Gap:
    """What is kept of the behaviour (1: all, 0: as without any edge) without the circuit's edges into these nodes."""

    nodes: tuple[str, ...]
    circuit: float
    model: float

    @property
    def size(self) -> float:
        """How far circuit and model are apart."""
        return abs(self.circuit - self.model)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"nodes": list(self.nodes), "circuit": self.circuit, "model": self.model, "gap": self.size}


@dataclass(frozen=True)
class Completeness:
    """How alike circuit and model are when parts of the circuit are ablated in both.

    `remaining` is what the model keeps of the behaviour without any of the circuit's edges, `worst` the widest gap of
    the `tried` ones. A circuit that lacks a branch which would do by itself, or a backup, has a gap near 1.
    """

    remaining: float
    worst: Gap
    tried: int

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"remaining": self.remaining, "worst": self.worst.to_json(), "tried": self.tried}


def completeness(
    problem: Problem,
    circuit: Circuit,
    *,
    nodes: int = 16,
    widest: int = 6,
    depth: int = 3,
    watch: Watch | None = None,
) -> Completeness:
    """The widest gap |F(C without K) - F(M without K)| found, F being normalised by the whole model and no edge.

    K is first, for each of the `nodes` nodes that the circuit's strongest edges end in, the circuit's edges into it;
    then greedily the union of up to `depth` of these with the widest gap, a step adding one of the `widest` at first.
    `watch` hears of every step.

    Raises: BadSetting when a count is not positive or the circuit has no edge; UnmeasurableBehaviour, DifferentGraphs.
    Source: Wang et al. 2022 (arXiv:2211.00593), section 4, with the edges into a node for the node.
    """
    if not circuit.edges or min(nodes, widest, depth) < 1:
        raise BadSetting(
            f"there is no gap to measure: got a circuit of {len(circuit)} edges, {nodes} nodes, {widest} to combine "
            f"and a depth of {depth}, wanted at least 1 of each; give a circuit with edges"
        )

    def report(step: int) -> None:
        if watch is not None:
            watch(Progress("completeness", step, depth))

    report(0)
    chosen = _strongest(circuit, nodes)
    everything, *gaps = _gaps(problem, circuit, [_receivers(circuit), *((node,) for node in chosen)])
    wide = [gap.nodes for gap in sorted(gaps, key=lambda gap: -gap.size)[:widest]]
    gaps.append(everything)
    worst = max(gaps, key=lambda gap: gap.size)
    by_name = {node.name: node for node in circuit.nodes()}
    for step in range(1, depth):
        report(step)
        wider = [(*worst.nodes, *other) for other in wide if not set(other) <= set(worst.nodes)]
        if not wider:
            break
        found = _gaps(problem, circuit, [tuple(by_name[name] for name in names) for names in wider])
        gaps += found
        widened = max(found, key=lambda gap: gap.size)
        if widened.size < worst.size + NOTABLE:  # the smaller of two sets that show the same tells more
            break
        worst = widened
    report(depth)
    return Completeness(everything.model, worst, len(gaps))


def _receivers(circuit: Circuit) -> tuple[Node, ...]:
    """The nodes that the circuit's edges end in, in topological order."""
    ends = {edge.receiver for edge in circuit.edges}
    return tuple(node for node in circuit.nodes() if node in ends)


def _strongest(circuit: Circuit, count: int) -> tuple[Node, ...]:
    """The nodes whose strongest incoming edges have the highest absolute scores, equals in topological order."""
    from acdc.precision import require_finite

    require_finite("the strength of nodes", list(circuit.scores.values()))
    strength = dict.fromkeys(_receivers(circuit), 0.0)
    for edge, score in circuit.scores.items():
        strength[edge.receiver] = max(strength[edge.receiver], abs(score))
    return tuple(sorted(strength, key=lambda node: -strength[node])[:count])


def _gaps(problem: Problem, circuit: Circuit, without: Sequence[tuple[Node, ...]]) -> list[Gap]:
    """What circuit and model keep without the circuit's edges into each of these sets of nodes."""
    model = Circuit.full(circuit.graph)
    taken = [[edge for edge in circuit.edges if edge.receiver in nodes] for nodes in without]
    runs = [whole.without(edges) for whole in (circuit, model) for edges in taken]
    kept = problem.normalised(problem.measure(runs)[0].mean(-1)).view(2, -1).T.tolist()
    return [Gap(tuple(node.name for node in nodes), *pair) for nodes, pair in zip(without, kept, strict=True)]
