"""From a score for every edge to the circuit that meets a goal."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from typing_extensions import assert_never

from acdc.algorithms.scores import AbstractScorer
from acdc.discovery.levels import LevelCheck, measured
from acdc.discovery.selection import Rule, Selection
from acdc.drain import translated
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.settings import PARTS_TRIED, Edges, KeptAccuracy, KeptFaithfulness, MeanKL, Threshold, UntimedGoal

_CLEARLY = 0.01  # of the behaviour, by which a smaller circuit is to keep more
_FINE = 100
_INTERPOLATED = 6
"""So many sizes are interpolated; if what is kept goes up and down by then, the rest is halved."""


@dataclass(frozen=True)
class ScoredSearch:
    """Score all edges, then take as many of the highest absolute scores as the goal asks for.

    By edges: that many, counted after dead ones are gone, or, unless it is to be `exactly` so many, fewer, half of them
    at least, where these keep clearly more: edges that hurt may join before those that make up for it. By threshold:
    those whose absolute score is at least that. By what is kept of the model: sizes are doubled until enough is, and
    the last doubling is narrowed down to a hundredth.
    """

    goal: UntimedGoal
    scorer: AbstractScorer
    rule: Rule
    exactly: bool = False

    def walk(
        self, problem: Problem, state: Mapping[str, Any] | None = None
    ) -> Generator[Progress, None, tuple[Circuit, SearchSummary]]:
        """The scoring step by step, then the search; it is not taken up from a state but done anew.

        Raises: UnreachableGoal; and as the scorer.
        """
        _ = problem.bounds
        scored = yield from translated(
            self.scorer.walk(problem), lambda step: Progress("scoring all edges", step.done, step.total)
        )
        selection = Selection.of(scored, self.rule)
        chosen, met = yield from sized(problem, selection, self.goal, exactly=self.exactly)
        curve = tuple(met[size][0] for size in sorted(met))
        figures: dict[str, Any] = {"selection": self.rule.value, **scored.provenance}
        if not chosen.edges and scored.scores:
            edge = max(scored.ordered(), key=lambda edge: abs(scored.scores[edge]))
            figures["largest"] = {"edge": edge.name, "score": scored.scores[edge]}
        joining = {edge: scored.scores[edge] for edge in selection.order}
        return met[chosen.edges][1], SearchSummary(chosen, curve, figures, joining)


def clearly_best(kept: Sequence[float]) -> int:
    """Which of these parts of the behaviour is nearest to all of it: the first, unless another clearly is."""
    off = [abs(1 - part) for part in kept]
    best = min(range(len(off)), key=off.__getitem__)
    return best if off[best] < off[0] - _CLEARLY else 0


class _Sizing(NamedTuple):
    """A size that was tried, by how much more than is asked for it keeps (below 0: less), and whether it is enough."""

    edges: int
    slack: float
    reaches: bool


def _between(short: _Sizing, enough: _Sizing, *, halve: bool) -> int:
    """The size at which what is kept, were it linear in the logarithm of the size, would be what is asked for."""
    apart = enough.edges - short.edges
    if halve or not short.edges or not enough.reaches or not short.slack < enough.slack:
        return short.edges + apart // 2
    part = short.slack / (short.slack - enough.slack)
    guess: int = round(short.edges * (enough.edges / short.edges) ** part)
    margin = min(apart // 2, max(1, guess // _FINE))
    return min(max(guess, short.edges + margin), enough.edges - margin)


def sized(
    problem: Problem, selection: Selection, goal: UntimedGoal, *, exactly: bool = False
) -> Generator[Progress, None, tuple[CurvePoint, dict[int, tuple[CurvePoint, Circuit]]]]:
    """The point of the circuit that meets a goal among the beginnings of an order, and every circuit met, by size.

    What a level takes is found to one part in a hundred of the size; `exactly` so many edges are not fewer that keep
    more.

    Raises: UnreachableGoal.
    """
    met: dict[int, tuple[CurvePoint, Circuit]] = {}

    def meet(circuit: Circuit) -> CurvePoint:
        lowest = min((abs(score) for score in circuit.scores.values()), default=0.0)
        met[len(circuit)] = measured(problem, circuit, lowest), circuit
        return met[len(circuit)][0]

    match goal:
        case Edges(count):
            sizes = dict.fromkeys(math.ceil(part * count) for part in PARTS_TRIED[: 1 if exactly else None])
            whole, *smaller = [meet(selection.of_size(size)) for size in sizes]
            candidates = [whole, *(point for point in smaller if point.edges)]
            chosen = candidates[clearly_best([point.faithfulness for point in candidates])]
            if not chosen.edges:
                raise UnreachableGoal(f"no circuit of at most {count} edges connects input and logits; ask for more")
        case Threshold(value):
            chosen = meet(selection.above(value))
        case KeptFaithfulness() | MeanKL() | KeptAccuracy():
            bar, every = LevelCheck(goal, problem), len(selection.order)

            def tried(edges: int) -> _Sizing:
                point = meet(selection.first(edges))
                return _Sizing(edges, bar.slack(point), bar.reached(point))

            short, enough = _Sizing(0, -math.inf, False), tried(1)
            while not enough.reaches and enough.edges < every:
                yield Progress(f"sizing: {enough.edges:,} edges keep too little", enough.edges, every)
                short, enough = enough, tried(min(2 * enough.edges, every))
            left = _INTERPOLATED
            while enough.edges - short.edges > max(1, enough.edges // _FINE):
                middle, left = _between(short, enough, halve=left <= 0), left - 1
                yield Progress(f"sizing: between {short.edges:,} and {enough.edges:,} edges", middle, every)
                # the end that stays counts half from now on, so that the next size lies on its side (Illinois)
                if (here := tried(middle)).reaches:
                    short, enough = short._replace(slack=short.slack / 2), here
                else:
                    short, enough = here, enough._replace(slack=enough.slack / 2)
            chosen = bar.smallest(tuple(point for point, _ in met.values()))
        case _:
            assert_never(goal)
    return chosen, met
