"""Random circuits of exactly a given circuit's size: what a judge holds the circuit against.

Size counts live edges, those on a way from the input to the logits: the given circuit's dead edges are gone first, and
every edge of a random circuit is live. Subsets of edges drawn without regard to that are nearly all dead when they are
small, so that any circuit would be better than they are.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from typing_extensions import assert_never

from acdc.errors import BadSetting, NoRoomBeside
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import INPUT, LOGITS, Edge, Node

Draw = Literal["uniform", "layer-stratified"]
DRAWS: tuple[Draw, ...] = ("uniform", "layer-stratified")

_ATTEMPTS = 10_000
_STEPS = 4
"""Exchanges tried for every edge."""


def random_circuits(circuit: Circuit, count: int, kind: Draw, seed: int = 0, *, outside: bool = False) -> list[Circuit]:
    """So many random circuits of live edges, each with as many edges as the circuit has live ones.

    `uniform`: random walks from the logits back to the input are joined until the size is reached, then edges are
    exchanged for any others, one by one, as long as all stay live; with `outside`, none is the circuit's own.
    `layer-stratified`: the heads of each layer change places at random, then edges are exchanged for others between the
    same layers, of nodes of the same kind; so between any two layers there are as many edges as in the circuit.

    Raises: NoRoomBeside; BadSetting when no edge of the circuit is live, none is to be drawn or none can be.
    """
    graph, live = circuit.graph, circuit.pruned().edges
    if not live or count < 1:
        raise BadSetting(
            f"no random circuits of this size: got {len(live)} edges on a way from the input to the logits and "
            f"{count} circuits to draw, wanted at least 1 of each; give a circuit that reaches the logits"
        )
    draw = random.Random(f"{kind} {seed}")
    match kind:
        case "uniform":
            allowed = (~circuit if outside else Circuit.full(graph)).pruned().ordered()
            if len(allowed) < len(live):
                raise NoRoomBeside(
                    f"no random circuit of {len(live)} edges fits beside this one: the rest of the model has only "
                    f"{len(allowed)} live edges; give a smaller circuit"
                )
            walks = _Walks(graph, allowed)
            drawn = (
                _exchanged(walks.joined(len(live), draw), lambda _: allowed, draw, graph.run_as) for _ in range(count)
            )
        case "layer-stratified":
            strata: dict[object, list[Edge]] = {}
            for edge in graph.edges():
                strata.setdefault(_stratum(edge), []).append(edge)
            drawn = (
                _exchanged(_places_changed(graph, live, draw), lambda edge: strata[_stratum(edge)], draw, graph.run_as)
                for _ in range(count)
            )
        case _:
            assert_never(kind)
    return [Circuit(graph, edges) for edges in drawn]


def _stratum(edge: Edge) -> tuple[str, int, str, int]:
    return edge.sender.kind, edge.sender.layer, edge.receiver.kind, edge.receiver.layer


class _Walks:
    """Ways from the logits back to the input over some live edges, every step to any sender with the same chance."""

    def __init__(self, graph: ComputationalGraph, edges: Sequence[Edge]) -> None:
        self._edges, self._run_as = edges, graph.run_as
        self._into: dict[Node, list[Edge]] = {}
        for edge in edges:
            self._into.setdefault(self._run_as[edge.receiver], []).append(edge)

    def one(self, draw: random.Random) -> list[Edge]:
        """The edges of one walk."""
        edges: list[Edge] = []
        node = LOGITS
        while node != INPUT:
            edges.append(draw.choice(self._into[node]))
            node = self._run_as[edges[-1].sender]
        return edges

    def joined(self, size: int, draw: random.Random) -> frozenset[Edge]:
        """Exactly so many edges: walks joined while they fit, then edges between nodes that are there."""
        for _ in range(_ATTEMPTS):
            edges: frozenset[Edge] = frozenset()
            while len(edges) < size and len(longer := edges.union(self.one(draw))) <= size:
                edges = longer
            run_as = self._run_as
            nodes = {run_as[edge.sender] for edge in edges} | {LOGITS}
            free = [
                e for e in self._edges if run_as[e.sender] in nodes and run_as[e.receiver] in nodes and e not in edges
            ]
            if edges and len(edges) + len(free) >= size:
                return edges.union(draw.sample(free, size - len(edges)))
        raise BadSetting(f"no circuit of {size} live edges was found in {_ATTEMPTS} attempts; give a larger circuit")


def _places_changed(graph: ComputationalGraph, edges: frozenset[Edge], draw: random.Random) -> frozenset[Edge]:
    indices = [draw.sample(range(graph.n_heads), graph.n_heads) for _ in range(graph.n_layers)]

    def moved(node: Node) -> Node:
        return node._replace(head=indices[node.layer][node.head]) if node.kind == "head" else node

    return frozenset(edge._replace(sender=moved(edge.sender), receiver=moved(edge.receiver)) for edge in edges)


def _exchanged(
    edges: frozenset[Edge],
    others: Callable[[Edge], Sequence[Edge]],
    draw: random.Random,
    run_as: Mapping[Node, Node],
) -> frozenset[Edge]:
    """Edges changed one by one for `others` of theirs, wherever every edge stays on a way from the input to the logits.

    The exchange back is as likely, so that circuits of equal profile become equally likely the longer this goes on.
    """
    now, there = sorted(edges), set(edges)
    incoming, outgoing = Counter(run_as[edge.receiver] for edge in now), Counter(run_as[edge.sender] for edge in now)

    def cut_off(node: Node) -> bool:
        return node not in (INPUT, LOGITS) and (incoming[node] > 0) != (outgoing[node] > 0)

    for _ in range(_STEPS * len(now)):
        index = draw.randrange(len(now))
        old, new = now[index], draw.choice(others(now[index]))
        if new in there:
            continue
        for edge, change in ((old, -1), (new, 1)):
            incoming[run_as[edge.receiver]] += change
            outgoing[run_as[edge.sender]] += change
        ends = (run_as[node] for edge in (old, new) for node in (edge.sender, edge.receiver))
        if outgoing[INPUT] and not any(map(cut_off, ends)):
            now[index] = new
            there.remove(old)
            there.add(new)
        else:
            for edge, change in ((old, 1), (new, -1)):
                incoming[run_as[edge.receiver]] += change
                outgoing[run_as[edge.sender]] += change
    return frozenset(there)
