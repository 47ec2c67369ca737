"""What a circuit is made of, whatever the shape of its model: how much of it is which part, at which depth.

So circuits of models of different shape are compared: by the role of a node, or else its kind, and by how far up it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED

By = Literal["role", "kind"]
BANDS = 5
"""How many equal parts the depth of a model is taken in, from its first layer to its last."""


@dataclass(frozen=True)
class Makeup:
    """The share of a circuit's edges that begin and end at each part: the role or kind of a node, and its depth.

    Each end of an edge counts half of it. The depth is the fifth of the model, from 1 (the first layer is in it) to 5;
    0 for `input` and `logits`, which are in no layer. All shares together are 1, or there are none.
    """

    by: By
    shares: Mapping[tuple[str, int], float]

    @classmethod
    def of(cls, circuit: Circuit, by: By) -> Makeup:
        """What a circuit is made of."""
        ends = Counter(_part(circuit, node, by) for edge in circuit.edges for node in (edge.sender, edge.receiver))
        total = sum(ends.values())
        return cls(by, {part: count / total for part, count in sorted(ends.items())})


@dataclass(frozen=True)
class MakeupChange:
    """What a circuit is made of against that of an earlier model, `before`; `overlap` is 1 where it is the same.

    Overlap: the sum over all parts of the lesser of both shares. One less it is the total variation distance.
    """

    before: str
    was: Makeup
    now: Makeup

    @classmethod
    def between(cls, before: str, was: Circuit, now: Circuit) -> MakeupChange:
        """The change from one circuit to another, by roles where both have them."""
        by: By = "role" if was.roles and now.roles else "kind"
        return cls(before, Makeup.of(was, by), Makeup.of(now, by))

    @property
    def overlap(self) -> float:
        """From 0, nothing in common, to 1."""
        return sum(min(share, self.now.shares.get(part, 0.0)) for part, share in self.was.shares.items())

    @property
    def rows(self) -> tuple[tuple[str, int, float, float], ...]:
        """Each part with its depth and both shares, those first that changed most."""
        parts = sorted({*self.was.shares, *self.now.shares})
        both = [(*part, self.was.shares.get(part, 0.0), self.now.shares.get(part, 0.0)) for part in parts]
        return tuple(sorted(both, key=lambda row: -abs(row[3] - row[2])))


def _part(circuit: Circuit, node: Node, by: By) -> tuple[str, int]:
    if node.layer < 0:
        return node.name, 0
    last = max(1, circuit.graph.n_layers - 1)
    band = 1 + min(BANDS - 1, node.layer * BANDS // last)
    role = circuit.roles.get(node) if by == "role" else None
    return (node.kind if role is None or role.role == UNLABELLED else role.role), band
