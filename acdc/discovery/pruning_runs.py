"""Pruning runs at several thresholds: each once, what they rank edges by once for all, and where to go on from.

A greedy walk at another threshold decides as an earlier one did up to the first removal whose cost lies between both;
it goes on from there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from typing_extensions import TypeIs, assert_never

from acdc.algorithms.coarse_to_fine import CoarseToFine
from acdc.algorithms.greedy import GreedyPruning, Pruned, Shortlisted, Step, WalkState
from acdc.algorithms.grouped import Bisection, GroupedPruning
from acdc.algorithms.one_minimal import Swept
from acdc.algorithms.scores import ScoringStep
from acdc.algorithms.shortlist import ShortlistPruning
from acdc.discovery.levels import measured
from acdc.discovery.selection import Rule, Selection
from acdc.discovery.shared_walks import SharedWalks
from acdc.drain import translated
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.pieces.place import AbstractPlace
from acdc.pieces.work import AbstractWork
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary

Pruning: TypeAlias = GreedyPruning | GroupedPruning | ShortlistPruning | CoarseToFine
"""Whatever decides by measured removals what stays, at a threshold."""


def prunes(algorithm: object) -> TypeIs[Pruning]:
    """Whether an algorithm prunes at a threshold, instead of scoring all edges."""
    return isinstance(algorithm, (GreedyPruning, GroupedPruning, ShortlistPruning, CoarseToFine))


@dataclass(frozen=True)
class PruningRun:
    """One pruning run: its point on the curve, and what it left, freed of dead edges."""

    point: CurvePoint
    pruned: Pruned

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; `from_json` gives back exactly this run."""
        edges = {edge.name: self.pruned.circuit.scores.get(edge) for edge in self.pruned.circuit.ordered()}
        figures = {name: getattr(self.pruned, name) for name in ("tested", "evaluated", "closest", "one_minimal")}
        if self.pruned.shortlist is not None:
            figures["shortlist"] = asdict(self.pruned.shortlist)
        return {"point": asdict(self.point), "edges": edges, "figures": figures}

    @classmethod
    def from_json(cls, problem: Problem, data: Mapping[str, Any]) -> PruningRun:
        """The run that `to_json` wrote."""
        given = {Edge.parse(name): score for name, score in data["edges"].items()}
        scores = {edge: score for edge, score in given.items() if score is not None}
        circuit, figures = Circuit(problem.graph, frozenset(given), scores), dict(data["figures"])
        if "shortlist" in figures:
            figures["shortlist"] = Shortlisted(**figures["shortlist"])
        return cls(CurvePoint(**data["point"]), Pruned(circuit, **figures))

    @property
    def figures(self) -> dict[str, Any]:
        """What the run says of how it went, as a circuit file has it."""
        pruned = self.pruned
        figures: dict[str, Any] = {
            "tested": pruned.tested,
            "evaluated": pruned.evaluated,
            "closest_decision": pruned.closest,
        }
        if pruned.one_minimal:
            figures["one_minimal"] = True
        if pruned.shortlist is not None:
            figures["shortlist"] = asdict(pruned.shortlist)
        return figures


@dataclass(frozen=True)
class RunsElsewhere:
    """Where runs at thresholds are made ahead, and what makes them there: each as `PruningRun.to_json` has it."""

    place: AbstractPlace
    work: AbstractWork[float, dict[str, Any]]


class PruningRuns:
    """All runs of one pruning on one problem, by threshold; `state`, if given, is that of an earlier progress.

    `met` are those made or met again so far, and `ranking` what the method ranks edges by, once it has.
    """

    def __init__(
        self,
        pruning: Pruning,
        problem: Problem,
        state: Mapping[str, Any] | None = None,
        elsewhere: RunsElsewhere | None = None,
    ) -> None:
        self._pruning, self._problem, self._state, self._elsewhere = pruning, problem, state or {}, elsewhere
        self._known = {
            data["point"]["threshold"]: PruningRun.from_json(problem, data) for data in self._state.get("runs", ())
        }
        self.met: dict[float, PruningRun] = {}
        self.ranking: Any = None
        self._walks = SharedWalks(problem.graph, self._state.get("walks", ()))

    def at(self, threshold: float) -> Generator[Progress, None, PruningRun]:
        """The run at a threshold, step by step."""
        if threshold in self._known:
            self.met[threshold] = self._known[threshold]
            return self.met[threshold]
        yield from self.ranked()
        current = self._state.get("current") or {}
        start = WalkState.of(current["position"]) if current.get("threshold") == threshold else None
        if start is None:
            self._walks.begin()
            # what is on a shortlist depends on the threshold
            start = self._walks.position(threshold) if isinstance(self._pruning, GreedyPruning) else None
            if start is not None:
                now = {**self._now, "current": {"threshold": threshold, "position": asdict(start)}}
                total = len(self._problem.graph.receivers)
                yield Progress(self._stage(threshold), start.decided, total, len(start.scores), now)
        self.met[threshold] = yield from self._run(threshold, start)
        return self.met[threshold]

    def ahead(self, thresholds: Sequence[float]) -> Generator[Progress, None, None]:
        """Have the first of these runs, as many as are made at once elsewhere, made there; none where nowhere is."""
        if self._elsewhere is None:
            return
        lacking = [threshold for threshold in thresholds if threshold not in self._known]
        if not lacking or lacking[0] != thresholds[0]:
            return
        yield from self.ranked()
        place, work = self._elsewhere.place, self._elsewhere.work
        now = lacking[: place.at_once(work)]
        for done, (threshold, run) in enumerate(zip(now, place.each(work, now), strict=True), start=1):
            self._known[threshold] = PruningRun.from_json(self._problem, run)
            words = f"run {len(self.met) + done} · threshold {threshold:.3g}"
            yield Progress(words, done, len(now), self._known[threshold].point.edges, self._now)

    def ranked(self) -> Generator[Progress, None, None]:
        """Have the method rank all edges, if it does and has not yet."""
        if isinstance(self._pruning, GreedyPruning) or self.ranking is not None:
            return
        state = self._now
        ranking: Generator[ScoringStep, None, Any] = self._pruning.ranking(self._problem)
        self.ranking = yield from translated(
            ranking, lambda step: Progress("ranking", step.done, step.total, state=state)
        )

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """The points of all runs, from the highest threshold to the lowest."""
        return tuple(self.met[threshold].point for threshold in sorted(self.met, reverse=True))

    @property
    def joining(self) -> dict[Edge, float | None]:
        """Edges in the order in which they join, with what removing each cost.

        Those kept at higher thresholds come first, then, without a score, the others as they are ranked.
        """
        found: dict[Edge, float | None] = {}
        for threshold in sorted(self.met, reverse=True):
            circuit = self.met[threshold].pruned.circuit
            found |= {edge: circuit.scores.get(edge) for edge in circuit.strongest_first() if edge not in found}
        if isinstance(self.ranking, Circuit):
            ranked = Selection.of(self.ranking, Rule.TOP)
            found |= {edge: None for edge in ranked.order if edge not in found}
        return found

    def summary(self, chosen: CurvePoint) -> tuple[Circuit, SearchSummary]:
        """The circuit of a point, and what the search says of it."""
        run = self.met[chosen.threshold]
        return run.pruned.circuit, SearchSummary(chosen, self.curve, run.figures, self.joining)

    @property
    def _now(self) -> dict[str, Any]:
        """What there is to go on from between two runs."""
        runs = {**self._known, **self.met}
        return {"runs": [run.to_json() for run in runs.values()], "walks": self._walks.to_json()}

    def _stage(self, threshold: float) -> str:
        return f"run {len(self.met) + 1} · threshold {threshold:.3g}"

    def _run(self, threshold: float, start: WalkState | None) -> Generator[Progress, None, PruningRun]:
        stage = self._stage(threshold)
        walk = self._walk(replace(self._pruning, threshold=threshold), start)
        state = self._now  # the latest to go on from

        def progress(step: ScoringStep | Step | Bisection | Swept) -> Progress:
            nonlocal state
            match step:
                case ScoringStep():
                    raise AssertionError("the ranking is given")
                case Step():
                    self._walks.note(step.position)
                    state = {
                        **state,
                        "walks": self._walks.to_json(),
                        "current": {"threshold": threshold, "position": asdict(step.position)},
                    }
                    return Progress(stage, step.done, step.total, len(step.position.scores), state)
                case Bisection():
                    of_several = f" · {step.stage}" if step.stage else ""
                    return Progress(f"{stage}{of_several}", step.decided, step.total, step.kept, state)
                case Swept():
                    return Progress(f"{stage} · sweep {step.sweep}", step.done, step.total, step.kept, state)
                case _:
                    assert_never(step)

        pruned = yield from translated(walk, progress)
        pruned = replace(pruned, circuit=pruned.circuit.pruned())
        return PruningRun(measured(self._problem, pruned.circuit, threshold, pruned.tested), pruned)

    def _walk(
        self, pruning: Pruning, start: WalkState | None
    ) -> Generator[ScoringStep | Step | Bisection | Swept, None, Pruned]:
        walk: Generator[ScoringStep | Step | Bisection | Swept, None, Pruned]
        match pruning:
            case GreedyPruning():
                walk = pruning.walk(self._problem, start)
            case GroupedPruning() | CoarseToFine():
                walk = pruning.walk(self._problem, self.ranking)
            case ShortlistPruning():
                walk = pruning.walk(self._problem, start, self.ranking)
            case _:
                assert_never(pruning)
        return walk
