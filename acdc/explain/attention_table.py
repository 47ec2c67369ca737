"""Where every head looks from the scored position, as a picture and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from acdc.explain.attention import AttentionBySlot
from acdc.explain.estimates import plain
from acdc.explain.heat_map import Scale, draw
from acdc.explain.positions import END

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 40
"""How many heads a picture shows at most: those that look most sharply."""


@dataclass(frozen=True)
class AttentionTable:
    """The mean attention of every head; what all others pay to the same position on average is the control."""

    by_slot: AttentionBySlot

    @property
    def end(self) -> int:
        """The number of the scored position among the slots."""
        return self.by_slot.slots.index(END)

    def sharpest(self, count: int) -> list[tuple[str, str, float, float]]:
        """The heads that look most at one position back from the scored one: head, "2 back", how much, and how much
        all other heads do on average (not a number where there is none).
        """
        offsets = torch.nan_to_num(self.by_slot.by_offset[:, self.end])
        value, back = offsets.max(dim=1)
        order = value.argsort(descending=True)[:count]
        names = ["itself", *(f"{number} back" for number in range(1, offsets.shape[1]))]
        others = (offsets.sum(0) - offsets) / (len(offsets) - 1 or torch.nan)
        return [
            (self.by_slot.heads[head].name, names[int(back[head])], float(value[head]), float(others[head, back[head]]))
            for head in order.tolist()
        ]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        found = self.by_slot
        return {
            "heads": [head.name for head in found.heads],
            "slots": list(found.slots),
            "counts": found.counts.tolist(),
            "by_slot": plain(found.by_slot.double().numpy()),
            "by_offset": plain(found.by_offset.double().numpy()),
        }

    def plot(self) -> Figure:
        """What heads look at from the scored position: slots on the left, positions back on the right."""
        found, end = self.by_slot, self.end
        slots, offsets = (part[:, end].double().numpy() for part in (found.by_slot, found.by_offset))
        offsets = offsets[:, np.isfinite(offsets).any(axis=0)]
        shown = np.argsort(-np.nan_to_num(slots).max(axis=1), kind="stable")[:_MOST]
        shown = np.sort(shown)[::-1]  # the first layer above
        some = "" if len(shown) == len(slots) else f", the {len(shown)} of {len(slots)} heads that look most sharply"
        return draw(
            {"to each slot": slots[shown], "to so many positions back": offsets[shown]},
            rows=[found.heads[head].name for head in shown.tolist()],
            columns=(found.slots, tuple(map(str, range(offsets.shape[1])))),
            title=f"Mean attention from the scored position{some}",
            scale=Scale("attention", 1.0, signed=False),
            axes_names=("", ""),
        )
