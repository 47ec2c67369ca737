"""Whether the heads of a circuit work alone or together: what ablating two costs beside what each of them costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from jaxtyping import Float
from torch import Tensor

from acdc.explain.estimates import means
from acdc.explain.node_ablation import costs_without
from acdc.graphs.nodes import Node
from acdc.judges.faithfulness import Interval
from acdc.problem import Problem

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

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


def interactions(
    problem: Problem, costs: Mapping[Node, Float[Tensor, " prompt"]], watch: Watch | None = None
) -> tuple[Interaction, ...]:
    """Every pair of the `MOST_HEADS` that cost most, given what ablating each head costs prompt by prompt.

    Raises: UnmeasurableBehaviour.
    """
    heads, mean = list(costs), {head: float(cost.mean()) for head, cost in costs.items()}
    strongest = sorted(heads, key=lambda head: -abs(mean[head]))[:MOST_HEADS]
    pairs = list(combinations(sorted(strongest, key=heads.index), 2))
    found = []
    for pair, both in zip(
        pairs, costs_without(problem, pairs, watch=watch, stage="ablating pairs of heads"), strict=True
    ):
        more = means((both - costs[pair[0]] - costs[pair[1]])[None]).interval(0)
        found.append(Interaction(pair, (mean[pair[0]], mean[pair[1]]), float(both.mean()), more))
    return tuple(found)
