"""The lines that edges are drawn as: what their width, colour and style say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from typing_extensions import assert_never

from acdc.graphs.circuit import Circuit

# Blue and vermilion stay apart under every common colour blindness, and negative edges are dashed besides, so that
# the sign also survives a grey print. Each pair runs from the weakest score to the strongest.
POSITIVE = ("#8DB9DA", "#00406E")
NEGATIVE = ("#F0B48C", "#A83C00")
UNSCORED = "#7F8C8D"
RARE = 0.5
"""An edge that fewer than this part of repeated discoveries found is dotted."""
ROOM = 100
"""Up to this many edges there is room for numbers beside them."""

Side = Literal["first", "second", "both"]


def strongest_score(circuit: Circuit) -> float:
    """The largest finite |score|, or 1 where there is none to compare with."""
    return max((abs(s) for s in circuit.scores.values() if math.isfinite(s)), default=0.0) or 1.0


def scored(score: float | None, strongest: float, edges: int) -> dict[str, str]:
    """The width, colour and style that show a score; lines are finer the more edges there are."""
    widest = _widest(edges)
    if score is None or math.isnan(score):
        return {"color": UNSCORED, "penwidth": f"{0.4 * widest:.2f}"}
    part = math.sqrt(min(abs(score) / strongest, 1.0))
    colour = _mix(*(NEGATIVE if score < 0 else POSITIVE), part)
    line = {"color": colour, "penwidth": f"{widest * (0.2 + 0.8 * part):.2f}"}
    return {**line, "style": "dashed"} if score < 0 else line


def repeated(frequency: float | None, line: Mapping[str, str], edges: int) -> dict[str, str]:
    """What a line gains that says how often repeated discoveries found its edge: a number in its colour, and dots.

    There is no number where they always did, or where there is no room; dots take the place of any other style.
    """
    dots = {"style": "dotted"} if frequency is not None and frequency < RARE else {}
    if frequency is None or frequency >= 1 or edges > ROOM:
        return dots
    # a ground of its own keeps the number readable where other lines pass
    cell = f'<td bgcolor="white"><font point-size="9" color="{line["color"]}"><b>{frequency:.0%}</b></font></td>'
    return {
        **dots,
        "label": f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0"><tr>{cell}</tr></table>>',
    }


def of_side(side: Side, edges: int) -> dict[str, str]:
    """The line of an edge that is in the first, the second or both of two circuits; the styles differ without colour.

    What is in one only stands out: dashed vermilion in the first, wide and blue in the second, thin and grey in both.
    """
    widest = _widest(edges)
    match side:
        case "first":
            return {"color": NEGATIVE[1], "penwidth": f"{0.6 * widest:.2f}", "style": "dashed"}
        case "second":
            return {"color": POSITIVE[1], "penwidth": f"{widest:.2f}"}
        case "both":
            return {"color": UNSCORED, "penwidth": f"{0.3 * widest:.2f}"}
        case _:
            assert_never(side)


def _widest(edges: int) -> float:
    return max(1.2, min(4.5, 4.5 * math.pow(30 / max(edges, 1), 0.25)))


def _mix(weak: str, strong: str, part: float) -> str:
    """The colour `part` of the way from `weak` to `strong`."""
    channels = zip(bytes.fromhex(weak[1:]), bytes.fromhex(strong[1:]), strict=True)
    return "#" + "".join(f"{round(w + (s - w) * part):02X}" for w, s in channels)
