"""Is every edge needed? What the circuit loses without it, against what random added edges do."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.live_edges import Reach
from acdc.judges.distance import Watch, distances
from acdc.precision import require_finite

if TYPE_CHECKING:
    import numpy.typing

    from acdc.graphs.nodes import Edge
    from acdc.problem import Problem

SHARE = 0.9
ADDED = 1000
LEVEL = 0.05
NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class EdgeEffect:
    """What one edge does in the circuit.

    `effect` is the mean over prompts of |metric without it - metric of the circuit|, as a part of what ablating the
    whole model changes; `beaten` how many of the added edges do less. `p_value` is that of H0: it beats at least 0.9 of
    all edges that could be added; `corrected` the same by Holm over the circuit's edges.
    """

    edge: Edge
    effect: float
    beaten: int
    p_value: float
    corrected: float


@dataclass(frozen=True)
class Minimality:
    """Every edge of the circuit, the least effect first, against the `added` ones.

    Added edges are drawn from those outside the circuit between nodes that it reaches and that reach the logits in it,
    all of them if there are fewer than asked for; an edge whose effect is at most `negligible` beats none.
    """

    edges: tuple[EdgeEffect, ...]
    added: int
    level: float
    negligible: float

    def __repr__(self) -> str:
        return f"<Minimality: {len(self.useless)} of {len(self.edges)} edges useless, against {self.added} added>"

    @property
    def useless(self) -> tuple[Edge, ...]:
        """The edges that are no better than random ones, at `level` for all of them together."""
        return tuple(found.edge for found in self.edges if found.corrected <= self.level)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        rows = [
            {
                "edge": found.edge.name,
                "effect": found.effect,
                "beaten": found.beaten,
                "p_value": found.p_value,
                "corrected": found.corrected,
            }
            for found in self.edges
        ]
        useless = [edge.name for edge in self.useless]
        return {
            "useless": useless,
            "added": self.added,
            "level": self.level,
            "negligible": self.negligible,
            "edges": rows,
        }


def minimality(
    problem: Problem,
    circuit: Circuit,
    seed: int = 0,
    *,
    added: int = ADDED,
    level: float = LEVEL,
    negligible: float = NEGLIGIBLE,
    watch: Watch | None = None,
) -> Minimality:
    """Knock out every edge of the circuit, and add up to `added` others, one at a time.

    An edge for which another one would do is useless by this: either alone changes nothing (see completeness).

    Raises: BadSetting when the circuit has no edge or `added` is not positive; UnmeasurableBehaviour, DifferentGraphs.
    Source: Shi et al. 2024 (arXiv:2410.13032), section 3, with Holm's for Bonferroni's correction.
    """
    if not circuit.edges or added < 1:
        raise BadSetting(
            f"there is nothing to knock out: got {len(circuit)} edges and {added} to add, wanted 1 of each"
        )
    edges, others = circuit.ordered(), _addable(circuit, added, seed)
    full, none = problem.bounds
    changed = [circuit.without([edge]) for edge in edges]
    changed += [Circuit(circuit.graph, circuit.edges | {edge}) for edge in others]
    far = distances(problem, circuit, changed, stage="minimality, edges removed and added", watch=watch)
    effects = far / abs(full - none)
    own, theirs = effects[: len(edges)], effects[len(edges) :]
    beaten, p_values = beating(own, theirs, negligible)
    rows = zip(edges, own.tolist(), beaten.tolist(), p_values.tolist(), holm(p_values).tolist(), strict=True)
    found = sorted((EdgeEffect(*row) for row in rows), key=lambda row: row.effect)
    return Minimality(tuple(found), len(others), level, negligible)


def beating(
    own: numpy.typing.NDArray[numpy.float64], added: numpy.typing.NDArray[numpy.float64], negligible: float = 0.0
) -> tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.float64]]:
    """How many of the added effects each own effect beats, and the p-value of H0: it beats at least 0.9 of all.

    The binomial test is given this count, not the effects. Equals are not beaten; with none added every p-value is 1.

    Raises: NotFinite.
    """
    from scipy.stats import binom

    require_finite("minimality", own, added)
    beaten = (added[None, :] < own[:, None]).sum(1) * (own > negligible)
    p_values = binom.cdf(beaten, len(added), SHARE) if len(added) else numpy.ones(len(own))
    return beaten, numpy.asarray(p_values, dtype=numpy.float64)


def holm(p_values: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """Holm's step-down correction: the chance of even one false finding among those at most `level` is at most that.

    Raises: NotFinite.
    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    require_finite("several tests at once", p_values)
    order = numpy.argsort(p_values)
    stepped = numpy.maximum.accumulate((len(p_values) - numpy.arange(len(p_values))) * p_values[order])
    corrected = numpy.empty_like(stepped)
    corrected[order] = numpy.minimum(stepped, 1)
    return corrected


def _addable(circuit: Circuit, count: int, seed: int) -> list[Edge]:
    """Edges outside the circuit that would be live in it; all of them, or so many drawn at random."""
    reach = Reach.of(circuit.graph, circuit.pruned().edges)
    outside = [edge for edge in circuit.graph.edges() if reach.lives(edge) and edge not in circuit.edges]
    return outside if len(outside) <= count else random.Random(seed).sample(outside, count)
