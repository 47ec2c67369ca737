"""A circuit's edges as a pandas table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from acdc.graphs.nodes import Edge

if TYPE_CHECKING:
    import pandas


def edges(chosen: Iterable[Edge], scores: Mapping[Edge, float], frequencies: Mapping[Edge, float]) -> pandas.DataFrame:
    """A row for each edge, in their order; a score or a frequency that is not known is missing (NaN)."""
    import pandas

    rows = [
        (edge.name, edge.sender.name, edge.receiver.name, edge.slot, edge.span, scores.get(edge), frequencies.get(edge))
        for edge in chosen
    ]
    names = ["edge", "sender", "receiver", "slot", "span", "score", "frequency"]
    return pandas.DataFrame(rows, columns=names).astype({"score": float, "frequency": float})
