"""The main job: name a behaviour, get its circuit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from acdc.correctness import Right, hardly_done
from acdc.discovery.checkpoint import Checkpoint
from acdc.discovery.defaults import SPLIT_METHOD, Defaults, measured_for
from acdc.discovery.pruning_runs import PruningRuns, RunsElsewhere
from acdc.discovery.search import require_sweep, search
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.drain import drain
from acdc.errors import UnmeasurableBehaviour
from acdc.footprint import MEMORY_FACTOR
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.judges.answer_form import answer_form
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.models import graph_of, load_named
from acdc.pieces.place import HERE, AbstractPlace
from acdc.pieces.work import AbstractWork
from acdc.problem import Problem
from acdc.problems import check_prompts, problems
from acdc.progress import CurvePoints, Progress
from acdc.provenance import Provenance
from acdc.request import Request, require_same
from acdc.settings import Goal, Method, Setup, as_goal
from acdc.tasks.task import Task


@dataclass(frozen=True)
class Result:
    """A circuit, how faithful it is on the judgement prompts, and every size and faithfulness met on the way to it.

    `joining` are all edges that the search knows of, in the order in which they join a circuit, with their scores where
    those are of the method's kind: `acdc.discovery.resizing` takes any other size from it.
    """

    circuit: Circuit
    faithfulness: Faithfulness
    curve: CurvePoints
    joining: Mapping[Edge, float | None] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<Result: {self.circuit!r}, {self.faithfulness!r}, {len(self.curve)} points on the curve>"

    def page(self, height: int = 900) -> Any:
        """The interactive page of the circuit for a notebook, in a frame so many pixels high."""
        # found by name: a page knows results, and not the other way round
        return resolve_name("acdc.report.frame:page")(self, height)

    def _repr_html_(self) -> str:
        lines = "<br>".join(escape(repr(part)) for part in (self.circuit, self.faithfulness))
        return f"<p>{lines}</p>{self.circuit._repr_svg_() or ''}"


def discover(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method | None = None,
    goal: Goal | float | int | None = None,
    setup: Setup = Setup(),  # noqa: B008  # a frozen value
    watch: Callable[[Progress], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Result:
    """Find the circuit of a behaviour.

    `task` is a task, its name or the path of a behaviour file, `model` a model or its name (None: the task's own). The
    circuit is found on the discovery prompts and judged on the judgement prompts. Method and goal that are None are
    chosen by the size of the model's graph (`acdc.discovery.defaults`). A bare number as `goal` is the fraction of the
    behaviour to keep where it is at most 1, and else a whole number of edges. `watch` hears of every piece of work
    done. With a `checkpoint` file, pruning can be interrupted at any time and, with `resume`, goes on to the very
    circuit it would have found. The file is left for the caller to remove once the result is safe.

    Raises: TaskError, GraphsError or AcdcError, with one of their members for each mistake a caller can make.
    """
    ready = prepare(task, model, method=method, goal=goal, setup=setup, watch=watch)
    return ready.run(watch=watch, checkpoint=checkpoint, resume=resume)


def prepare(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method | None = None,
    goal: Goal | float | int | None = None,
    setup: Setup = Setup(),  # noqa: B008  # a frozen value
    watch: Callable[[Progress], None] | None = None,
) -> Prepared:
    """Load what a discovery needs, learn what must be learned before it, and take down what it is of.

    `watch` hears of what is learned.

    Raises: as `discover`.
    """
    began = time.monotonic()
    asked = Request.of(task, model)
    method, goal = method_and_goal(model or asked.model, method or (SPLIT_METHOD if setup.split else None), goal)
    setup = measured_for(goal, method, setup)
    if asked.file is not None and not isinstance(model, Model):
        check_prompts(asked.task, asked.model, setup)
    loaded = model if isinstance(model, Model) else load_named(asked.model, setup)
    discovery, judgement = problems(asked.task, loaded, setup, MEMORY_FACTOR * method.max_bytes, watch=watch)
    origin = asked.provenance(discovery, judgement, setup)
    return Prepared((discovery, judgement), method, goal, setup.seed, origin, time.monotonic() - began)


@dataclass(frozen=True)
class Prepared:
    """A discovery that is ready to run, with the provenance of what it finds, and the seconds that this took.

    `problems` are those to find the circuit on and to judge it by.
    """

    problems: tuple[Problem, Problem]
    method: Method
    goal: Goal
    seed: int
    origin: Provenance
    seconds: float = field(default=0.0, compare=False)

    @property
    def algorithm(self) -> dict[str, Any]:
        """Method and goal as a circuit file has them."""
        goal = {"kind": type(self.goal).__name__, **asdict(self.goal)}
        return {"name": self.method.name, "goal": goal, "settings": asdict(self.method)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be known before time is spent on the search: where the model hardly shows the behaviour.

        Where nothing can be measured of it, the search says so itself.
        """
        if self.right is None:
            return ()
        try:
            _ = self.problems[0].bounds
        except UnmeasurableBehaviour:
            return ()
        return hardly_done(self.right, self.problems[0])

    @property
    def right(self) -> Right | None:
        """How many of the discovery prompts the model gets right, where it is known."""
        side = self.origin.prompts.discovery if self.origin.prompts else None
        return None if side is None or side.right is None else Right(side.right, side.count)

    @property
    def measured(self) -> str:
        """What is known before the search: how often the model is right, and what all its edges together do.

        Nothing where the model does not show the behaviour, which the search says.
        """
        problem, right = self.problems[0], self.right
        try:
            full, none = problem.bounds
        except UnmeasurableBehaviour:
            return ""
        metric = self.origin.metric.words if self.origin.metric else problem.metric.name
        of_none = f"{metric} is {full:.3g} with all edges and {none:.3g} with none"
        return of_none if right is None else f"the model is right on {right.right:,} of {right.of:,} prompts; {of_none}"

    @property
    def request(self) -> dict[str, Any]:
        """All that must be the same for another discovery to find the same circuit."""
        return {**self.origin.measurement(), "algorithm": self.algorithm}

    def run(
        self,
        *,
        watch: Callable[[Progress], None] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        place: AbstractPlace = HERE,
    ) -> Result:
        """Find the circuit and judge it, as `discover` does; a sweep over thresholds may be run at another `place`.

        Raises: as `discover`; BadSetting for another place where there is no such sweep; BadCircuitFile where task or
        model go by no name that finds them there.
        """
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), self.request)
        discovery, judgement = self.problems
        searched = search(self.method, self.goal, self.seed, self.seconds, self._elsewhere(place))
        walk = searched.walk(discovery, kept.load() if kept and resume else None)
        circuit, summary = drain(walk, watch, kept)
        discovery.release()
        if watch is not None:
            watch(Progress(f"judging the circuit on {len(judgement.pairs):,} prompts", 0, 1))
        judged = faithfulness(judgement, circuit, self.seed)
        scores = self.method.scores
        found = {
            "threshold": summary.chosen.threshold,
            **summary.figures,
            "score": scores.meaning,
            "score_kind": scores.kind,
        }
        provenance = {
            **self.origin.to_json(),
            "algorithm": {**self.algorithm, **found},
            "curve": [asdict(point) for point in summary.curve],
            "faithfulness": judged.to_json(),
        }
        if (form := answer_form(judgement)) is not None and form.prefers_other:
            provenance["answer_form"] = form.to_json()
        return Result(replace(circuit, provenance=provenance), judged, CurvePoints(summary.curve), summary.joining)

    def _elsewhere(self, place: AbstractPlace) -> RunsElsewhere | None:
        if place is HERE:
            return None
        require_sweep(self.method, self.goal)
        names = self.origin.task_name(), self.origin.model_name()
        setup = self.origin.setup().on(",".join(map(str, self.problems[0].model.devices)))
        work = ThresholdRuns(*names, self.method, self.goal, setup, self.origin.measurement())
        return RunsElsewhere(place, work)


@dataclass(frozen=True)
class ThresholdRuns(AbstractWork[float, "dict[str, Any]"]):
    """The pruning runs of a discovery by their thresholds; `measurement` is what its prompts and model must be."""

    task: str
    model: str
    method: Method
    goal: Goal
    setup: Setup
    measurement: Mapping[str, Any]

    @property
    def device(self) -> str:
        """The setup's."""
        return self.setup.compute.device

    def opened(self) -> Callable[[float], dict[str, Any]]:
        """What makes a run.

        Raises: ChangedSubject when task or model are not here what they are where the discovery was begun.
        """
        ready = prepare(self.task, self.model, method=self.method, goal=self.goal, setup=self.setup)
        require_same(self.measurement, ready.origin.measurement())
        sweep = search(self.method, self.goal, ready.seed)
        assert isinstance(sweep, ThresholdSweep)
        runs = PruningRuns(sweep.pruning, ready.problems[0])
        return lambda threshold: drain(runs.at(threshold)).to_json()


def method_and_goal(
    model: str | Model, method: str | Method | None, goal: Goal | float | int | None
) -> tuple[Method, Goal]:
    """What was asked for, as values; what is None is chosen by the size of the model's graph.

    Raises: BadSetting.
    """
    named = Method(method) if isinstance(method, str) else method
    graph = model.graph if isinstance(model, Model) else graph_of(model)
    chosen = Defaults.of(graph, method=named, goal=None if goal is None else as_goal(goal), prompts=None)
    return chosen.method, chosen.goal
