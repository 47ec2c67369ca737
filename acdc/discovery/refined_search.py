"""A search by scores whose circuit is then swept, edge by edge, until it can spare none."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import assert_never

from acdc.algorithms.one_minimal import OneMinimalSweep, Refined
from acdc.discovery.level_sweep import LevelSweep
from acdc.discovery.levels import measured
from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.timed_search import TimedSearch
from acdc.drain import translated
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.settings import Edges, KeptAccuracy, KeptFaithfulness, MeanKL, Minutes, Threshold


@dataclass(frozen=True)
class RefinedSearch:
    """Search by scores, then drop edges whose removal the goal allows, until there is none.

    A level allows removals that leave it reached, the cheapest first. A threshold allows those that cost less than it
    in the metric, a number of edges those that cost no more than rounding. A search for so many minutes counts as one
    for its fraction where the circuit keeps that, and else as one by edges; its minutes do not count the sweeps, and an
    interrupt leaves the circuit as it was. Edges keep the scores that the search gave them.
    """

    search: ScoredSearch | TimedSearch
    max_bytes: int = 1 << 30

    def walk(
        self, problem: Problem, state: Mapping[str, Any] | None = None
    ) -> Generator[Progress, None, tuple[Circuit, SearchSummary]]:
        """The search step by step, then every sweep.

        Raises: UnreachableGoal where no edge is worth keeping of a circuit of so many; and as the search.
        """
        circuit, summary = yield from self.search.walk(problem, state)
        if not circuit.edges:
            return circuit, summary
        sweep = self._sweep(problem, summary.chosen)
        try:
            refined: Refined = yield from translated(
                sweep.walk(problem, circuit),
                lambda step: Progress(f"refining · sweep {step.sweep}", step.done, step.total, step.kept),
            )
        except KeyboardInterrupt:
            if not isinstance(self.search, TimedSearch):
                raise
            return circuit, replace(summary, figures={**summary.figures, "stopped": "interrupted"})
        left = circuit.without(circuit.edges - refined.circuit.edges)
        if not left.edges and not isinstance(self.search.goal, Threshold):
            raise UnreachableGoal(
                f"the circuit of {len(circuit)} edges is no better than one without any, so --refine leaves none; "
                "ask for more edges (--edges), or give another method (--method)"
            )
        chosen = replace(measured(problem, left, summary.chosen.threshold), tested=refined.tested)
        within = {"level": str(sweep.level)} if isinstance(sweep, LevelSweep) else {"threshold": sweep.threshold}
        figures = {
            **summary.figures,
            "one_minimal": True,
            "refined": {
                "edges_before": len(circuit),
                "within": within,
                "tested": refined.tested,
                "evaluated": refined.evaluated,
                "sweeps": refined.sweeps,
            },
        }
        others = (point for point in summary.curve if left != circuit or point != summary.chosen)
        curve = tuple(sorted((*others, chosen), key=lambda point: point.edges))
        return left, replace(summary, chosen=chosen, curve=curve, figures=figures)

    def _sweep(self, problem: Problem, chosen: CurvePoint) -> OneMinimalSweep | LevelSweep:
        goal = self.search.goal
        match goal:
            case KeptFaithfulness() | MeanKL() | KeptAccuracy():
                return LevelSweep(goal, self.max_bytes)
            case Minutes() if chosen.faithfulness >= goal.fraction:
                return LevelSweep(KeptFaithfulness(goal.fraction), self.max_bytes)
            case Threshold(value):
                return OneMinimalSweep(value, self.max_bytes)
            case Edges() | Minutes():
                return OneMinimalSweep(problem.rounding, self.max_bytes)
            case _:
                assert_never(goal)
