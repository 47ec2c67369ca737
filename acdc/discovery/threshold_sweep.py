"""Pruning at a falling series of thresholds, until a goal is met."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from typing_extensions import assert_never

from acdc.algorithms.greedy import GreedyPruning, Position, Pruned, Shortlisted, Step
from acdc.algorithms.grouped import Bisection, GroupedPruning
from acdc.algorithms.one_minimal import Swept
from acdc.algorithms.scores import ScoringStep
from acdc.algorithms.shortlist import ShortlistPruning
from acdc.discovery.levels import LevelCheck, measured
from acdc.drain import translated
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.settings import Edges, Goal, Threshold

_HALVINGS = 24
_REFINEMENTS = 3
_NEGLIGIBLE = 1e-4  # of the whole effect: what costs less is no reason for a circuit to grow to the size asked for


@dataclass(frozen=True)
class PruningRun:
    """One pruning run: its place on the curve, and what it left, freed of dead edges."""

    point: CurvePoint
    pruned: Pruned

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; `from_json` gives back exactly this run."""
        edges = {edge.name: self.pruned.circuit.scores[edge] for edge in self.pruned.circuit.ordered()}
        figures = {name: getattr(self.pruned, name) for name in ("tested", "evaluated", "closest", "one_minimal")}
        if self.pruned.shortlist is not None:
            figures["shortlist"] = asdict(self.pruned.shortlist)
        return {"point": asdict(self.point), "edges": edges, "figures": figures}

    @classmethod
    def from_json(cls, problem: Problem, data: Mapping[str, Any]) -> PruningRun:
        """The run that `to_json` wrote."""
        scores = {Edge.parse(name): score for name, score in data["edges"].items()}
        circuit, figures = Circuit(problem.graph, frozenset(scores), scores), dict(data["figures"])
        if "shortlist" in figures:
            figures["shortlist"] = Shortlisted(**figures["shortlist"])
        return cls(CurvePoint(**data["point"]), Pruned(circuit, **figures))


@dataclass(frozen=True)
class ThresholdSweep:
    """Halve the threshold until the goal is met, then close in on the last step geometrically.

    The first threshold is half of what ablating the whole model costs. Sizes and faithfulness are those of circuits
    freed of dead edges, on the problem's own prompts. The threshold of `pruning` itself is never used.
    """

    goal: Goal
    pruning: GreedyPruning | GroupedPruning | ShortlistPruning

    def walk(
        self, problem: Problem, state: Mapping[str, Any] | None = None
    ) -> Generator[Progress, None, tuple[Circuit, SearchSummary]]:
        """Every step of every run, from the beginning or from the state of an earlier progress.

        Raises: UnreachableGoal when no threshold meets the goal; UnmeasurableBehaviour.
        """
        full, none = problem.bounds
        state = state or {}
        runs = {data["point"]["threshold"]: PruningRun.from_json(problem, data) for data in state.get("runs", ())}
        met: dict[float, PruningRun] = {}
        ranked: Any = None

        def run(threshold: float) -> Generator[Progress, None, PruningRun]:
            nonlocal ranked
            if threshold in runs:
                met[threshold] = runs[threshold]
            else:
                current = state.get("current") or {}
                start = current["position"] if current.get("threshold") == threshold else None
                if not isinstance(self.pruning, GreedyPruning) and ranked is None:
                    ranked = yield from _ranking(self.pruning, problem, met)
                met[threshold] = yield from self._run(problem, threshold, met, start, ranked)
            return met[threshold]

        goal = self.goal if isinstance(self.goal, (Threshold, Edges)) else LevelCheck(self.goal, problem)
        if isinstance(goal, Threshold):
            yield from run(goal.value)
        else:
            above, below = math.inf, abs(full - none) / 2
            for _ in range(_HALVINGS):
                done = yield from run(below)
                exhausted = isinstance(goal, Edges) and below < _NEGLIGIBLE * abs(full - none)
                if _is_fine_enough(goal, done.point) or exhausted:
                    break
                above, below = below, below / 2
            bracketed = (
                below in met and math.isfinite(above) and not exhausted
            )  # else there is no last step to close in on
            for _ in range(_REFINEMENTS * bracketed):
                middle = math.sqrt(above * below)
                done = yield from run(middle)
                above, below = (above, middle) if _is_fine_enough(goal, done.point) else (middle, below)
        curve = tuple(met[threshold].point for threshold in sorted(met, reverse=True))
        chosen = _choose(goal, curve)
        pruned = met[chosen.threshold].pruned
        figures: dict[str, Any] = {
            "tested": pruned.tested,
            "evaluated": pruned.evaluated,
            "closest_decision": pruned.closest,
        }
        if pruned.one_minimal:
            figures["one_minimal"] = True
        if pruned.shortlist is not None:
            figures["shortlist"] = asdict(pruned.shortlist)
        return pruned.circuit, SearchSummary(chosen, curve, figures)

    def _run(
        self,
        problem: Problem,
        threshold: float,
        met: dict[float, PruningRun],
        start: Mapping[str, Any] | None,
        ranked: Any,
    ) -> Generator[Progress, None, PruningRun]:
        stage = f"run {len(met) + 1} · threshold {threshold:.3g}"
        earlier = [run.to_json() for run in met.values()]
        pruning = replace(self.pruning, threshold=threshold)
        position = Position.of(start) if start else None
        walk: Generator[ScoringStep | Step | Bisection | Swept, None, Pruned]
        match pruning:
            case GreedyPruning():
                walk = pruning.walk(problem, position)
            case GroupedPruning():
                walk = pruning.walk(problem, ranked)
            case ShortlistPruning():
                walk = pruning.walk(problem, position, ranked)
            case _:
                assert_never(pruning)
        state: dict[str, Any] = {"runs": earlier}  # to go on from, the latest that there is

        def progress(step: ScoringStep | Step | Bisection | Swept) -> Progress:
            nonlocal state
            match step:
                case ScoringStep():
                    raise AssertionError("the ranking is given")
                case Step():
                    state = {**state, "current": {"threshold": threshold, "position": asdict(step.position)}}
                    return Progress(stage, step.done, step.total, len(step.position.scores), state)
                case Bisection():
                    return Progress(stage, step.decided, step.total, step.kept, state)
                case Swept():
                    return Progress(f"{stage} · sweep {step.sweep}", step.done, step.total, step.kept, state)
                case _:
                    assert_never(step)

        pruned = yield from translated(walk, progress)
        pruned = replace(pruned, circuit=pruned.circuit.pruned())
        return PruningRun(measured(problem, pruned.circuit, threshold, pruned.tested), pruned)


def _ranking(
    pruning: GroupedPruning | ShortlistPruning, problem: Problem, met: dict[float, PruningRun]
) -> Generator[Progress, None, Any]:
    """What the method ranks edges by, for all thresholds at once."""
    state = {"runs": [run.to_json() for run in met.values()]}
    ranking: Generator[ScoringStep, None, Any] = pruning.ranking(problem)
    return translated(ranking, lambda step: Progress("ranking", step.done, step.total, state=state))


def _is_fine_enough(goal: Edges | LevelCheck, point: CurvePoint) -> bool:
    match goal:
        case Edges(count):
            return point.edges > count
        case LevelCheck():
            return goal.reached(point)
        case _:
            assert_never(goal)


def _choose(goal: Threshold | Edges | LevelCheck, curve: tuple[CurvePoint, ...]) -> CurvePoint:
    match goal:
        case Threshold():
            return curve[0]
        case Edges(count):
            small = [point for point in curve if 0 < point.edges <= count]
            if not small:
                least = min((point.edges for point in curve if point.edges), default=0)
                raise UnreachableGoal(
                    f"no circuit of at most {count} edges was found: the smallest has {least}; "
                    "ask for more edges (--edges)"
                )
            return max(small, key=lambda point: (point.faithfulness, -point.edges))
        case LevelCheck():
            return goal.smallest(curve)
        case _:
            assert_never(goal)
