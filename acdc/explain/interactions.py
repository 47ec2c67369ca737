"""Whether the heads of a circuit work alone or together: what ablating two costs beside what each of them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from acdc.explain.estimates import means
from acdc.explain.node_ablation import costs_without
from acdc.graphs.nodes import Node
from acdc.judges.faithfulness import Interval
from acdc.problem import Problem

LEAST = 0.1
"""An interaction is named from this part of the behaviour on."""
MOST_HEADS = 8
Structure = Literal["backup (OR)", "chain (AND)", "additive"]


@dataclass(frozen=True)
class Interaction:
    """Two heads: the cost of ablating each, that of both, as parts of the behaviour, and how much more that is.

    More than the sum: each does what the other does not (OR, backup). Less: each is needed for what the other does
    (AND), as in a chain.
    """

    heads: tuple[Node, Node]
    alone: tuple[float, float]
    both: float
    more: Interval

    @property
    def structure(self) -> Structure:
        """What it says of the two."""
        if self.more.value >= LEAST and self.more.low > 0:
            return "backup (OR)"
        if self.more.value <= -LEAST and self.more.high < 0:
            return "chain (AND)"
        return "additive"

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        more = {name: round(getattr(self.more, name), 4) for name in ("value", "low", "high")}
        plain = {name: None if number != number else number for name, number in more.items()}  # NaN
        return {
            "heads": [head.name for head in self.heads],
            "alone": [round(cost, 4) for cost in self.alone],
            "both": round(self.both, 4),
            "more_than_sum": plain,
            "structure": self.structure,
        }


def interactions(problem: Problem, heads: Sequence[Node]) -> tuple[tuple[float, ...], tuple[Interaction, ...]]:
    """What ablating each head costs, and every pair of the `MOST_HEADS` that cost most.

    Raises: UnmeasurableBehaviour.
    """
    alone = costs_without(problem, [[head] for head in heads])
    cost = alone.mean(1).tolist()
    strongest = sorted(range(len(heads)), key=lambda index: -abs(cost[index]))[:MOST_HEADS]
    pairs = list(combinations(sorted(strongest), 2))
    both = costs_without(problem, [[heads[one], heads[other]] for one, other in pairs])
    more = means(both - alone[[one for one, _ in pairs]] - alone[[other for _, other in pairs]])
    found = (
        Interaction(
            (heads[one], heads[other]), (cost[one], cost[other]), float(both[index].mean()), more.interval(index)
        )
        for index, (one, other) in enumerate(pairs)
    )
    return tuple(cost), tuple(found)
