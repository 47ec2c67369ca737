"""A circuit discovered again, by its own method and goal, on resampled prompts and on other seeds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acdc.discovery.checkpoint import Checkpoint
from acdc.discovery.search import search
from acdc.drain import drain
from acdc.errors import BadSetting, UnmeasurableBehaviour, UnreachableGoal
from acdc.footprint import MEMORY_FACTOR
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.judges.evaluation import subject
from acdc.judges.same_subject import Tell
from acdc.judges.stability import Stability, stability
from acdc.pieces.place import HERE, AbstractPlace
from acdc.pieces.work import AbstractWork
from acdc.problem import Problem
from acdc.problems import problems
from acdc.progress import Progress
from acdc.provenance import Provenance
from acdc.request import Request
from acdc.settings import Edges, Goal, Method, Minutes, Setup, Threshold
from acdc.streams import Streams
from acdc.tasks.task import Task

MOST_RUNS = 10_000


@dataclass(frozen=True)
class Rediscovery:
    """Discover a circuit again, by its own method and goal, on so many bootstrap resamples and so many other seeds.

    `task` and `model` are those of its record where they are None; `anyway` whether they may have changed since.

    Raises: BadSetting when there are none at all, or more than `MOST_RUNS`.
    """

    resamples: int = 20
    seeds: int = 5
    device: str = "cpu"
    task: str | Path | Task | None = None
    model: str | Model | None = None
    anyway: bool = False

    def __post_init__(self) -> None:
        if min(self.resamples, self.seeds) < 0 or self.resamples + self.seeds < 1:
            raise BadSetting(
                f"{self.resamples} resamples and {self.seeds} seeds say nothing of stability; wanted at least one of "
                "them (--resamples, --seeds)"
            )
        if self.resamples + self.seeds > MOST_RUNS:
            raise BadSetting(
                f"{self.resamples:,} resamples and {self.seeds:,} seeds are too many; wanted at most {MOST_RUNS:,} "
                "discoveries in all (--resamples, --seeds)"
            )

    def walk(
        self,
        circuit: Circuit,
        state: Mapping[str, Any] | None = None,
        tell: Tell | None = None,
        place: AbstractPlace = HERE,
    ) -> Generator[Progress, None, Stability]:
        """Every discovery, from the beginning or from the state of an earlier progress.

        Elsewhere than here, task and model go by their names: BadSetting for what is in this process's memory only.

        Raises: BadCircuitFile when the circuit's record does not say how it was found; as `discover`; and as
        `acdc.judges.evaluation.subject`, which `tell` is for.
        """
        work = _Discoveries(self, circuit, tell)
        found = [_read(circuit, data) for data in (state or {}).get("found", ())]
        total = self.resamples + self.seeds
        left = range(len(found), total)
        if place is not HERE and left:
            work.opened()  # what is to be refused or told of is, here and once
            work = work.elsewhere()
        for run, made in zip(left, place.each(work, left) if left else (), strict=True):
            found.append(_read(circuit, made))
            kept = {"found": [{edge.name: one.scores.get(edge) for edge in one.ordered()} for one in found]}
            yield Progress(work.words(run), run + 1, total, len(found[-1]), kept)
        return stability(circuit, found[: self.resamples], found[self.resamples :])


@dataclass(frozen=True)
class _Discoveries(AbstractWork[int, "dict[str, float | None]"]):
    """The discoveries by their numbers, those on resamples first: each the names of its edges with their scores."""

    again: Rediscovery
    circuit: Circuit
    tell: Tell | None = None

    @property
    def device(self) -> str:
        """As it is asked for."""
        return self.again.device

    @property
    def _setup(self) -> Setup:
        return Provenance.of(self.circuit).setup().on(self.device)

    def words(self, run: int) -> str:
        """What a discovery is called."""
        resamples = self.again.resamples
        return f"resample {run + 1} of {resamples}" if run < resamples else f"seed {self._seed(run)}"

    def elsewhere(self) -> _Discoveries:
        """The same for other processes, which find task and model by their names and tell nobody.

        Raises: BadSetting where they go by no names.
        """
        record = Provenance.of(self.circuit)
        task, model = self.again.task or record.task_name(), self.again.model or record.model_name()
        asked = Request.of(task, model)
        asked.require_named()
        again = replace(self.again, task=asked.file or asked.task.name, model=asked.model)
        return replace(self, again=again, tell=None)

    def opened(self) -> Callable[[int], dict[str, float | None]]:
        """What discovers the circuit again."""
        again, setup = self.again, self._setup
        method, goal = Provenance.of(self.circuit).search()
        timed, goal = isinstance(goal, Minutes), _repeatable(goal, method, self.circuit)
        task, model = subject(
            self.circuit, task=again.task, model=again.model, setup=setup, anyway=again.anyway, tell=self.tell
        )
        budget = MEMORY_FACTOR * method.max_bytes
        pool, _ = problems(task, model, setup, budget)

        def discovered(run: int) -> dict[str, float | None]:
            seed = self._seed(run)
            if run < again.resamples:
                drawn = Streams(setup.seed).resample(run, len(pool.pairs))
                problem = replace(pool, pairs=pool.pairs.select(drawn))
            else:
                problem, _ = problems(task, model, replace(setup, seed=seed), budget)
            found = _discovered(problem, method, goal, seed, exactly=timed)
            return {edge.name: found.scores.get(edge) for edge in found.ordered()}

        return discovered

    def _seed(self, run: int) -> int:
        own = self._setup.seed
        return own if run < self.again.resamples else own + 1 + run - self.again.resamples


def rediscover(
    circuit: Circuit,
    *,
    resamples: int = 20,
    seeds: int = 5,
    device: str = "cpu",
    task: str | Path | Task | None = None,
    model: str | Model | None = None,
    anyway: bool = False,
    watch: Callable[[Progress], None] | None = None,
    tell: Tell | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    place: AbstractPlace = HERE,
) -> Stability:
    """Discover a circuit again on bootstrap resamples of its discovery prompts and on other seeds.

    Task and model are those of its record unless given; weights, tokenizer or prompts that have changed since are
    refused, unless `anyway`. `noted_in(circuit)` of the result is the circuit with what came of it. With a `checkpoint`
    file it can be interrupted, and goes on with `resume` to the very same result; the file is left for the caller to
    remove. The discoveries are made at a `place` of `acdc.pieces`.

    Raises: BadCheckpoint; and as `Rediscovery` and its `walk`.
    """
    again = Rediscovery(resamples, seeds, device, task, model, anyway)
    kept = None if checkpoint is None else Checkpoint(Path(checkpoint), request(circuit, resamples, seeds))
    walk = again.walk(circuit, kept.load() if kept and resume else None, tell, place)
    return drain(walk, watch, kept)


def request(circuit: Circuit, resamples: int, seeds: int) -> dict[str, Any]:
    """All that must be the same for a rediscovery that was interrupted to go on."""
    same = Provenance.of(circuit).measurement()
    return {**same, "circuit": [edge.name for edge in circuit.ordered()], "resamples": resamples, "seeds": seeds}


def _repeatable(goal: Goal, method: Method, circuit: Circuit) -> Goal:
    """The goal itself; for one of time, which would hang on how busy the machine is, what it came to.

    That is the threshold of the run that was chosen, or the number of edges where estimates chose them.
    """
    if not isinstance(goal, Minutes):
        return goal
    algorithm = Provenance.of(circuit).algorithm
    if method.entry.prunes and circuit.scores and algorithm is not None and algorithm.threshold is not None:
        return Threshold(algorithm.threshold)
    return Edges(len(circuit))


def _discovered(problem: Problem, method: Method, goal: Goal, seed: int, *, exactly: bool) -> Circuit:
    try:
        return drain(search(method, goal, seed, exactly=exactly).walk(problem))[0]
    except (UnmeasurableBehaviour, UnreachableGoal):  # these prompts have no such circuit, which is an answer too
        return Circuit.empty(problem.graph)


def _read(circuit: Circuit, data: Mapping[str, float | None]) -> Circuit:
    scores = {Edge.parse(name): score for name, score in data.items()}
    known = {edge: score for edge, score in scores.items() if score is not None}
    return Circuit(circuit.graph, frozenset(scores), known)
