"""The order in which masks closed: where it says little, and what orders edges better there.

The last edges close nearly at once, as soon as the circuit that they make is not worth the price of all of them; the
first ones close before much is told about them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import numpy as np

from acdc.algorithms.elimination import Elimination, beginning, kept_by
from acdc.algorithms.scores import ScoringStep
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem

AGAIN = 500
"""So many edges that closed last are trained again."""
_SIZES = 100, 200, 300
"""Of the circuits that tell which of two trainings orders these better."""
_SMALL, _RANKED = 100, 400
"""So many edges that close last are ordered by elimination, for which so many of each ranking may be taken."""
_SURE, _DOUBTED = 1 / 4, 1 / 2
"""The parts of the edges whose order of closing stands, and of those on which attribution's is tried beyond."""


def highest(scores: Mapping[Edge, float], count: int | None = None) -> list[Edge]:
    """The edges of so many highest scores, or all of them, the highest first."""
    return sorted(scores, key=scores.__getitem__, reverse=True)[:count]


def of_another_training(
    problem: Problem, prices: Mapping[Edge, float], again: Mapping[Edge, float]
) -> dict[Edge, float]:
    """The prices, of the edges that were trained again in the order in which they closed then, if that keeps more.

    It is measured which order's circuits of 100, 200 and 300 edges keep more, taken together: that of the first
    training, that of the second, or the first 100 of the second and then those of the first.
    """
    first, second = highest(prices, len(again)), highest(again)
    small = beginning(problem, second, _SIZES[0])
    both = list(dict.fromkeys((*filter(small.edges.__contains__, second), *first)))
    orders = first, second, both
    kept = kept_by(problem, [beginning(problem, order, size) for order in orders for size in _SIZES])
    sums = [sum(kept[start : start + len(_SIZES)]) for start in range(0, len(kept), len(_SIZES))]
    return dealt(prices, orders[sums.index(max(sums))], len(again))


def eliminated(
    problem: Problem, prices: Mapping[Edge, float], effects: Mapping[Edge, float], elimination: Elimination
) -> Generator[ScoringStep, None, dict[Edge, float]]:
    """The prices, the highest dealt out anew in the order in which their edges are worth having.

    Besides what edges carry, the order in which they closed and that of their attributed effects have their say.
    """
    small = highest(prices, _SMALL)
    both = prices, {edge: effects[edge] for edge in prices}
    rankings = [{edge: of[edge] for edge in highest(of, _RANKED)} for of in both]
    order = yield from elimination.walk(problem, Circuit(problem.graph, frozenset(small)), *rankings)
    return dealt(prices, list(dict.fromkeys((*order, *small))), len(small))


def dealt(prices: Mapping[Edge, float], order: Sequence[Edge], count: int) -> dict[Edge, float]:
    """The prices, so many of the highest dealt out among these edges, in this order.

    Edges that come in have room between the prices, so that none of the others falls below those that have lower ones.
    """
    there = [prices[edge] for edge in highest(prices, count)]
    anew = np.interp(np.linspace(0, 1, len(order)), np.linspace(0, 1, len(there)), there)
    return {**prices, **dict(zip(order, anew.tolist(), strict=True))}


def told(problem: Problem, prices: Mapping[Edge, float], effects: Mapping[Edge, float]) -> dict[Edge, float]:
    """All prices, or those of the quarter that closed last if attributed effects order the others better.

    It is measured by which order half of the edges keep more.
    """
    closing, attributed = highest(prices), highest({edge: effects[edge] for edge in prices})
    sure, half = closing[: int(_SURE * len(closing))], int(_DOUBTED * len(closing))
    orders = closing, list(dict.fromkeys((*sure, *attributed)))
    by_closing, by_effect = kept_by(problem, [Circuit(problem.graph, frozenset(order[:half])) for order in orders])
    return dict(prices) if by_closing >= by_effect else {edge: prices[edge] for edge in sure}
