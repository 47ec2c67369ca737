"""What random circuits are made from, for laws that hold of all circuits.

Hypothesis draws plain data and the test makes the circuit of it, because the checks of annotations, which draw random
numbers of their own, may not run while Hypothesis draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph

SHAPES: tuple[dict[str, Any], ...] = ({}, {"parallel": True}, {"has_mlp": False}, {"frozen_scale": True})
BY_POSITION: dict[str, Any] = {"spans": ("BOS", "S1+2", "-1")}


@dataclass(frozen=True)
class Recipe:
    """A small graph, several choices of its edges (by number, modulo how many there are), and scores for some."""

    n_layers: int
    n_heads: int
    shape: dict[str, Any]
    choices: list[set[int]]
    scores: dict[int, float]

    def graph(self) -> ComputationalGraph:
        return ComputationalGraph(self.n_layers, self.n_heads, 8, **self.shape)

    def circuits(self) -> list[Circuit]:
        """One circuit per choice, all of the same graph."""
        graph = self.graph()
        edges = list(graph.edges())
        scores = {edges[number % len(edges)]: score for number, score in self.scores.items()}
        kept = [frozenset(edges[number % len(edges)] for number in choice) for choice in self.choices]
        return [Circuit(graph, chosen, {edge: scores[edge] for edge in chosen & scores.keys()}) for chosen in kept]

    def circuit(self) -> Circuit:
        """The first of them."""
        return self.circuits()[0]


def recipes(count: int = 1, shapes: tuple[dict[str, Any], ...] = (*SHAPES, BY_POSITION)) -> st.SearchStrategy[Recipe]:
    """Recipes of `count` circuits in graphs of one to three layers, of one to three heads."""
    numbers = st.integers(0, 200)
    return st.builds(
        Recipe,
        st.integers(1, 3),
        st.integers(1, 3),
        st.sampled_from(shapes),
        st.lists(st.sets(numbers, max_size=60), min_size=count, max_size=count),
        st.dictionaries(numbers, st.floats(allow_nan=False, allow_infinity=False), max_size=20),
    )
