"""Which slots of a task's prompts each head of a circuit writes at, and which it reads from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acdc.explain.attention import AttentionBySlot
from acdc.graphs.nodes import Node

COSTS = 0.01
"""A head writes at the slots where ablating it costs at least this part of the behaviour."""
READS = 0.1
"""And reads the slots that get at least this part of its attention from there."""


@dataclass(frozen=True)
class HeadSlots:
    """Where a head writes: `writes` is what ablating it at each slot alone costs, as a part of the behaviour.

    `reads` is, for each of these slots, to which slots its attention goes from there; both with the largest first.
    """

    writes: Mapping[str, float]
    reads: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"writes": dict(self.writes), "reads": {slot: dict(read) for slot, read in self.reads.items()}}

    def __str__(self) -> str:
        """The three slots where it costs most, and three that it reads from each."""
        reads = {
            slot: ", ".join(f"{key} {part:.0%}" for key, part in [*read.items()][:3])
            for slot, read in self.reads.items()
        }
        return "; ".join(f"{slot} {cost:.0%} from {reads[slot] or '-'}" for slot, cost in [*self.writes.items()][:3])


def head_slots(needed: Mapping[Node, Mapping[str, float]], looks: AttentionBySlot) -> dict[Node, HeadSlots]:
    """The slots of heads, from what ablating each at every slot costs and from where all heads look."""
    found = {}
    for head, costs in needed.items():
        writes = _largest({slot: cost for slot, cost in costs.items() if abs(cost) >= COSTS})
        reads = {
            slot: _largest({key: part for key in looks.slots if (part := looks.of(head, slot, key)) >= READS})
            for slot in writes
        }
        found[head] = HeadSlots(writes, reads)
    return found


def _largest(parts: Mapping[str, float]) -> dict[str, float]:
    return {name: round(part, 4) for name, part in sorted(parts.items(), key=lambda item: -abs(item[1]))}
