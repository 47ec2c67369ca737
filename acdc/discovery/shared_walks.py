"""Where a greedy walk at another threshold may go on from: as far as an earlier one decided as it would have.

Two walks decide alike up to the first removal whose cost lies between their thresholds. So of every walk a few marks
are kept, each the last position before the range of thresholds changes for which all decisions so far hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from acdc.algorithms.greedy import WalkState
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge


@dataclass
class _Walk:
    """The marks of a walk, without their scores, and the scores of all edges that it has kept so far."""

    marks: list[WalkState] = field(default_factory=list)
    scores: Mapping[str, float] = field(default_factory=dict)


class SharedWalks:
    """The marks of all walks on a graph."""

    def __init__(self, graph: ComputationalGraph, data: Sequence[Mapping[str, Any]] = ()) -> None:
        self._graph = graph
        self._walks = [
            _Walk([WalkState.of({**mark, "scores": {}}) for mark in walk["marks"]], walk["scores"]) for walk in data
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """All of it as plain JSON data, from which another can be made."""
        return [{"marks": [asdict(mark) for mark in walk.marks], "scores": walk.scores} for walk in self._walks]

    def begin(self) -> None:
        """Let the positions noted from here on be those of another walk."""
        self._walks.append(_Walk())

    def note(self, position: WalkState) -> None:
        """Take down the next position of the walk begun last."""
        walk = self._walks[-1]
        if walk.marks and walk.marks[-1].tally.bounds == position.tally.bounds:
            walk.marks.pop()
        walk.marks.append(replace(position, scores={}))
        walk.scores = position.scores

    def position(self, threshold: float) -> WalkState | None:
        """The furthest position up to which a walk at this threshold decides as an earlier one did, if any."""
        alike = [
            (mark.decided, walk, mark) for walk in self._walks for mark in walk.marks if mark.tally.holds(threshold)
        ]
        if not alike:
            return None
        decided, walk, mark = max(alike, key=lambda found: found[0])
        done = set(self._graph.receivers[len(self._graph.receivers) - decided :])
        return replace(
            mark, scores={name: score for name, score in walk.scores.items() if Edge.parse(name).target in done}
        )
