"""What a circuit keeps when one of its edges alone is removed, measured edge by edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.distance import Watch
from acdc.judges.faithfulness import Faithfulness, faithfulness_of_each
from acdc.problem import Problem

MOST = 30
"""Of larger circuits only so many of the strongest edges are removed."""
_FEWEST = 5
_WORK = 1e8
"""Larger circuits of larger models take longer: so many edges, times those of the model's graph, are run in all."""


@dataclass(frozen=True)
class SingleRemoval:
    """An edge and how faithful the circuit is without it, all its other edges being there."""

    edge: Edge
    without: Faithfulness


def single_removals(
    problem: Problem,
    circuit: Circuit,
    seed: int = 0,
    edges: Sequence[Edge] | None = None,
    watch: Watch | None = None,
) -> tuple[SingleRemoval, ...]:
    """What is kept without each of these edges (None: the strongest, `MOST` at most, fewer where runs take long).

    They are removed from the circuit one at a time.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    chosen = circuit.strongest_first()[: count(circuit)] if edges is None else edges
    if not chosen:
        return ()
    without = [circuit.without([edge]) for edge in chosen]
    judged = faithfulness_of_each(problem, without, seed, watch, "removing single edges")
    return tuple(SingleRemoval(*pair) for pair in zip(chosen, judged, strict=True))


def count(circuit: Circuit) -> int:
    """How many of the strongest edges of a circuit are removed where nobody says which."""
    return min(MOST, max(_FEWEST, int(_WORK / max(1, len(circuit) * circuit.graph.n_edges))))
