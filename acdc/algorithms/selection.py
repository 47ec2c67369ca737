"""From a score for every edge to a circuit of the size asked for, counted after dead edges are gone."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum

from typing_extensions import assert_never

from graphs.ablation import Ablation
from graphs.circuit import Circuit
from graphs.nodes import LOGITS, Edge, Node


class Rule(Enum):
    """How edges are chosen by their scores' absolute values."""

    TOP = "top"
    """The highest anywhere in the graph."""
    GREEDY = "greedy"
    """From the logits back: again and again the highest that leads to a node already chosen (Hanna et al. 2024)."""


@dataclass(frozen=True)
class Selection:
    """An order in which edges join the circuit; a circuit is a beginning of it, freed of dead edges."""

    scored: Circuit
    order: tuple[Edge, ...]
    ablation: Ablation

    @classmethod
    def of(cls, scored: Circuit, rule: Rule, ablation: Ablation) -> Selection:
        """The order that a rule gives to a graph with a score for every edge; equals in the graph's order."""
        match rule:
            case Rule.TOP:
                order = sorted(scored.ordered(), key=lambda edge: -abs(scored.scores[edge]))
            case Rule.GREEDY:
                order = _from_logits(scored)
            case _:
                assert_never(rule)
        return cls(scored, tuple(order), ablation)

    def first(self, count: int) -> Circuit:
        """The circuit of the first `count` edges, less those that are dead."""
        chosen = frozenset(self.order[:count])
        scores = {edge: self.scored.scores[edge] for edge in chosen}
        return Circuit(self.scored.graph, chosen, scores).pruned(self.ablation)

    def above(self, threshold: float) -> Circuit:
        """The circuit of all edges whose absolute score is at least `threshold`, less those that are dead."""
        chosen = frozenset(edge for edge in self.order if abs(self.scored.scores[edge]) >= threshold)
        scores = {edge: self.scored.scores[edge] for edge in chosen}
        return Circuit(self.scored.graph, chosen, scores).pruned(self.ablation)

    def of_size(self, count: int) -> Circuit:
        """The circuit of at most `count` edges *after* dead ones are gone, and of just so many where that is possible.

        As long a beginning of the order as stays within the size, and then every later edge that still fits in.
        """
        low, high = 0, len(self.order)
        while low < high:  # a longer beginning never has a smaller circuit
            middle = (low + high + 1) // 2
            if len(self.first(middle)) <= count:
                low = middle
            else:
                high = middle - 1
        circuit = self.first(low)
        chosen = set(self.order[:low])
        for edge in self.order[low:]:
            if len(circuit) == count:
                break
            scores = {other: self.scored.scores[other] for other in (*chosen, edge)}
            grown = Circuit(self.scored.graph, frozenset(scores), scores).pruned(self.ablation)
            if len(circuit) < len(grown) <= count:
                circuit = grown
                chosen.add(edge)
        return circuit


def _from_logits(scored: Circuit) -> list[Edge]:
    """Every edge, in the order in which it is reached: the highest of those that end in a node already reached."""
    into: dict[Node, list[Edge]] = {}
    for edge in scored.ordered():
        into.setdefault(edge.receiver, []).append(edge)
    order: list[Edge] = []
    reached: set[Node] = {LOGITS}
    waiting = [(-abs(scored.scores[edge]), place, edge) for place, edge in enumerate(into[LOGITS])]
    heapq.heapify(waiting)
    place = len(waiting)
    while waiting:
        _, _, edge = heapq.heappop(waiting)
        order.append(edge)
        if edge.sender not in reached:
            reached.add(edge.sender)
            for incoming in into.get(edge.sender, []):
                heapq.heappush(waiting, (-abs(scored.scores[incoming]), place, incoming))
                place += 1
    return order
