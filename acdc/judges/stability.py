"""Would other prompts have given the same circuit? How alike the circuits of repeated discoveries are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.nodes import Edge

OFTEN = 0.5
"""Edges outside the circuit that at least this fraction of the rediscoveries found are told."""


@dataclass(frozen=True)
class Agreement:
    """How alike the circuits are that several discoveries found.

    `jaccard` is the mean over all pairs of them (None: fewer than two), `with_circuit` the mean over them with the
    circuit in question. `spearman` is the mean rank correlation of two circuits' scores over the edges of either, an
    edge that one lacks scoring 0 there; None where no pair has scores that differ. `fewest` and `most` are edges. A
    discovery that found no circuit counts as one of no edges.
    """

    runs: int
    jaccard: float | None
    with_circuit: float
    spearman: float | None
    fewest: int
    most: int

    @classmethod
    def of(cls, circuit: Circuit, found: Sequence[Circuit]) -> Agreement:
        """The agreement of these circuits, one at least, with each other and with the one in question."""
        pairs = list(combinations(found, 2))
        correlations = [rho for a, b in pairs if (rho := spearman(a, b)) is not None]
        sizes = [len(one) for one in found]
        return cls(
            runs=len(found),
            jaccard=mean(jaccard(a, b) for a, b in pairs) if pairs else None,
            with_circuit=mean(jaccard(circuit, one) for one in found),
            spearman=mean(correlations) if correlations else None,
            fewest=min(sizes),
            most=max(sizes),
        )


@dataclass(frozen=True)
class Stability:
    """How far a circuit depends on the prompts and the seed that it was found with.

    `resamples` are discoveries on its own discovery prompts drawn with replacement, `seeds` those on prompts drawn with
    other seeds, which also are the method's own; None: none were made. `frequencies` says which fraction of all of
    them found an edge, for every edge of the circuit and every other that was found, the most frequent first.
    """

    resamples: Agreement | None
    seeds: Agreement | None
    frequencies: Mapping[Edge, float]

    def noted_in(self, circuit: Circuit) -> Circuit:
        """The circuit with its edges' frequencies, and with the rest in its provenance under `stability`."""
        frequencies = {edge: often for edge, often in self.frequencies.items() if edge in circuit}
        missed = {
            edge.name: often for edge, often in self.frequencies.items() if edge not in circuit and often >= OFTEN
        }
        record = {**self._agreements, "found_often_outside": missed}
        return replace(circuit, frequencies=frequencies, provenance={**circuit.provenance, "stability": record})

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {**self._agreements, "frequencies": {edge.name: often for edge, often in self.frequencies.items()}}

    @property
    def _agreements(self) -> dict[str, Any]:
        return {name: one and asdict(one) for name, one in (("resamples", self.resamples), ("seeds", self.seeds))}


def stability(circuit: Circuit, resamples: Sequence[Circuit], seeds: Sequence[Circuit]) -> Stability:
    """The stability of a circuit, given the circuits that were found on resamples and on other seeds."""
    every = [*resamples, *seeds]
    times = Counter(edge for one in every for edge in one.edges)
    edges = sorted({*times, *circuit.edges}, key=lambda edge: (-times[edge], circuit.graph.edge_indices[edge]))
    return Stability(
        Agreement.of(circuit, resamples) if resamples else None,
        Agreement.of(circuit, seeds) if seeds else None,
        {edge: times[edge] / len(every) for edge in edges},
    )


def jaccard(a: Circuit, b: Circuit) -> float:
    """The edges in both as a fraction of those in either; 1 where neither has any."""
    either = len(a.edges | b.edges)
    return len(a.edges & b.edges) / either if either else 1.0


def spearman(a: Circuit, b: Circuit) -> float | None:
    """The rank correlation of two circuits' signed scores over the edges of either; an edge that one lacks scores 0.

    None where an edge of theirs has no score, or all scores of one are equal.

    Raises: NotFinite.
    """
    from scipy.stats import spearmanr

    from acdc.precision import require_finite

    if len(a.scores) < len(a) or len(b.scores) < len(b):
        return None
    edges = sorted(a.edges | b.edges, key=a.graph.edge_indices.__getitem__)
    ours, theirs = ([one.scores.get(edge, 0.0) for edge in edges] for one in (a, b))
    require_finite("the correlation of scores", ours, theirs)
    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        return None
    return float(spearmanr(ours, theirs).statistic)
