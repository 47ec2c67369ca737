"""From a score for every edge to a circuit of the size asked for, counted after dead edges are gone."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from typing_extensions import assert_never

from acdc.graphs.circuit import Circuit
from acdc.graphs.live_edges import Reach
from acdc.graphs.nodes import LOGITS, Edge, Node
from acdc.precision import finite_scores


class Rule(Enum):
    """How edges are chosen by their scores: by absolute values, or with their signs."""

    TOP = "top"
    """The highest absolute values anywhere in the graph."""
    GREEDY = "greedy"
    """From the logits back: again and again the highest absolute value that leads to a node already chosen (Hanna et
    al. 2024)."""
    SIGNED = "signed"
    """The highest scores anywhere in the graph: edges that help before edges that do nothing before edges that hurt."""


@dataclass(frozen=True)
class Selection:
    """An order in which edges join the circuit; a circuit is a beginning of it, freed of dead edges."""

    scored: Circuit
    order: tuple[Edge, ...]

    @classmethod
    def of(cls, scored: Circuit, rule: Rule) -> Selection:
        """The order that a rule gives to a graph with a score for every edge; equals in the graph's order.

        Raises: NotFinite when a score is NaN or infinite: sorting would put its edge anywhere.
        """
        finite_scores(scored.scores)
        match rule:
            case Rule.TOP:
                order = sorted(scored.ordered(), key=lambda edge: -abs(scored.scores[edge]))
            case Rule.SIGNED:
                order = sorted(scored.ordered(), key=lambda edge: -scored.scores[edge])
            case Rule.GREEDY:
                order = _from_logits(scored)
            case _:
                assert_never(rule)
        return cls(scored, tuple(order))

    def first(self, count: int) -> Circuit:
        """The circuit of the first `count` edges, less those that are dead."""
        return self._of(self.order[:count])

    def above(self, threshold: float) -> Circuit:
        """The circuit of all edges whose absolute score is at least `threshold`, less those that are dead."""
        return self._of(edge for edge in self.order if abs(self.scored.scores[edge]) >= threshold)

    def of_size(self, count: int) -> Circuit:
        """The circuit of at most `count` edges *after* dead ones are gone, and of just so many where that is possible.

        As long a beginning of the order as stays within the size, then every later edge that still fits in with all it
        brings to life, and then, again and again, the first in the order that by itself joins what is there. Only where
        no single edge does, as when all edges between the circuit's nodes are in it, are there fewer.
        """
        low, high = 0, len(self.order)
        while low < high:  # a longer beginning never has a smaller circuit
            middle = (low + high + 1) // 2
            if len(self.first(middle)) <= count:
                low = middle
            else:
                high = middle - 1
        circuit = self.first(low)
        graph, chosen = self.scored.graph, set(self.order[:low])
        reach, too_many = Reach.of(graph, chosen), set[tuple[Node | None, Node | None]]()
        for edge in self.order[low:]:
            if len(circuit) == count:
                break
            joined = reach.joined_by(edge)
            if not reach.lives(edge) or joined in too_many:  # with more edges there, it brings no fewer to life
                continue
            grown = self._of([*chosen, edge])
            if len(circuit) < len(grown) <= count:
                circuit = grown
                chosen.add(edge)
                reach = Reach.of(graph, chosen) if any(joined) else reach
            else:
                too_many.add(joined)
        while len(circuit) < count:
            reach = Reach.of(graph, circuit.edges)
            outside = (edge for edge in self.order if edge not in circuit and reach.lives(edge))
            joins = (self._of([*circuit.edges, edge]) for edge in outside)
            longer = next((grown for grown in joins if len(grown) > len(circuit)), None)
            if longer is None:
                break
            circuit = longer
        return circuit

    def _of(self, edges: Iterable[Edge]) -> Circuit:
        chosen, scores = frozenset(edges), self.scored.scores
        return Circuit(self.scored.graph, chosen, {edge: scores[edge] for edge in chosen & scores.keys()}).pruned()


def _from_logits(scored: Circuit) -> list[Edge]:
    """Every edge, in the order in which it is reached: the highest of those that end in a node already reached."""
    into: dict[Node, list[Edge]] = {}
    run_as = scored.graph.run_as
    for edge in scored.ordered():
        into.setdefault(run_as[edge.receiver], []).append(edge)
    order: list[Edge] = []
    reached: set[Node] = {LOGITS}
    waiting = [(-abs(scored.scores[edge]), index, edge) for index, edge in enumerate(into[LOGITS])]
    heapq.heapify(waiting)
    index = len(waiting)
    while waiting:
        _, _, edge = heapq.heappop(waiting)
        order.append(edge)
        if run_as[edge.sender] not in reached:
            reached.add(run_as[edge.sender])
            for incoming in into.get(run_as[edge.sender], []):
                heapq.heappush(waiting, (-abs(scored.scores[incoming]), index, incoming))
                index += 1
    return order
