"""How faithful are the circuits of every size? The curve, and the two areas that MIB ranks methods by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from acdc.bench.answer import AbstractAnswer
from acdc.problem import Problem

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The shares of all edges that MIB asks for."""


@dataclass(frozen=True)
class SizePoint:
    """One circuit: the share of all edges asked for, the edges left of it after dead ones were gone, its faithfulness.

    Faithfulness is f = (m(circuit) - m(none)) / (m(full) - m(none)).
    """

    share: float
    edges: int
    faithfulness: float


@dataclass(frozen=True)
class SizeCurve:
    """Faithfulness by size, the sizes being those asked for, as in MIB; `signed` takes edges that hurt last."""

    signed: tuple[SizePoint, ...]
    absolute: tuple[SizePoint, ...]

    @property
    def cpr(self) -> float:
        """Circuit performance ratio: the area under f, edges ranked by signed score; higher is better.

        Source: Mueller et al. 2025 (arXiv:2504.13151), section 3; over their shares, straight lines between them.
        """
        return area([point.share for point in self.signed], [point.faithfulness for point in self.signed])

    @property
    def cmd(self) -> float:
        """Circuit-model distance: the area under |1 - f|, edges ranked by absolute score; lower is better.

        Source: as `cpr`.
        """
        distances = [abs(1 - point.faithfulness) for point in self.absolute]
        return area([point.share for point in self.absolute], distances)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        curves = {"signed": self.signed, "absolute": self.absolute}
        points = {name: [asdict(point) for point in curve] for name, curve in curves.items()}
        return {"cpr": self.cpr, "cmd": self.cmd, **points}


def size_curve(problem: Problem, answer: AbstractAnswer) -> SizeCurve:
    """Measure the answer's circuits of MIB's sizes on a problem's prompts.

    A size is a share of all edges, rounded down; what is left of it after dead edges are gone is told beside it.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    sizes = [int(share * problem.graph.n_edges) for share in SHARES]
    circuits = [answer.within(size, signed=signed) for signed in (True, False) for size in sizes]
    kept = problem.normalised(problem.measure(circuits)[0].mean(-1)).tolist()
    points = [
        SizePoint(share, len(circuit), value) for share, circuit, value in zip(SHARES * 2, circuits, kept, strict=True)
    ]
    return SizeCurve(tuple(points[: len(SHARES)]), tuple(points[len(SHARES) :]))


def area(x: Sequence[float], y: Sequence[float]) -> float:
    """The area under straight lines through points whose `x` rises."""
    return sum(((x[i + 1] - x[i]) * (y[i] + y[i + 1]) / 2 for i in range(len(x) - 1)), 0.0)
