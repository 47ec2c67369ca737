"""The main job: name a behaviour, get its circuit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from acdc.discovery.checkpoint import Checkpoint
from acdc.discovery.search import search
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.judges.answer_form import answer_form
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.models import expanded, is_gguf, load_named
from acdc.problem import Problem
from acdc.problems import MEMORY_FACTOR, check_prompts, problems
from acdc.progress import CurvePoint, Progress
from acdc.provenance import Provenance
from acdc.request import Request
from acdc.settings import Goal, KeptAccuracy, KeptFaithfulness, MeanKL, Method, Setup, as_goal
from acdc.tasks.task import Task


@dataclass(frozen=True)
class Result:
    """A circuit, how faithful it is on the judgement prompts, and every size and faithfulness met on the way to it."""

    circuit: Circuit
    faithfulness: Faithfulness
    curve: tuple[CurvePoint, ...]

    def __repr__(self) -> str:
        return f"<Result: {self.circuit!r}, {self.faithfulness!r}, {len(self.curve)} points on the curve>"


def discover(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method = Method(),  # noqa: B008  # a frozen value
    goal: Goal | float | int = KeptFaithfulness(),  # noqa: B008  # likewise
    setup: Setup = Setup(),  # noqa: B008  # likewise
    watch: Callable[[Progress], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Result:
    """Find the circuit of a behaviour.

    `task` is a task, its name or the path of a behaviour file, `model` a model or its name (None: the task's own). The
    circuit is found on the discovery prompts and judged on the judgement prompts. A bare number as `goal` is the
    fraction of the behaviour to keep where it is at most 1, and else a whole number of edges. `watch` hears of every
    piece of work done. With a `checkpoint` file, pruning can be interrupted at any time and, with `resume`, goes on to
    the very circuit it would have found. The file is left for the caller to remove once the result is safe.

    Raises: TaskError, GraphsError or AcdcError, with one of their members for each mistake a caller can make.
    """
    ready = prepare(task, model, method=method, goal=goal, setup=setup)
    return ready.run(watch=watch, checkpoint=checkpoint, resume=resume)


def prepare(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method = Method(),  # noqa: B008  # a frozen value
    goal: Goal | float | int = KeptFaithfulness(),  # noqa: B008  # likewise
    setup: Setup = Setup(),  # noqa: B008  # likewise
) -> Prepared:
    """Load what a discovery needs, and take down what it is of.

    Raises: as `discover`.
    """
    method, goal = Method(method) if isinstance(method, str) else method, as_goal(goal)
    setup = measured_for(goal, method, setup)
    asked = Request.of(task, model)
    if asked.file is not None and not isinstance(model, Model):
        check_prompts(asked.task, asked.model, setup)
    loaded = model if isinstance(model, Model) else load_named(asked.model, setup)
    discovery, judgement = problems(asked.task, loaded, setup, MEMORY_FACTOR * method.max_bytes)
    return Prepared(discovery, judgement, method, goal, setup.seed, asked.provenance(discovery, judgement, setup))


@dataclass(frozen=True)
class Prepared:
    """A discovery that is ready to run, with the provenance of what it finds."""

    discovery: Problem
    judgement: Problem
    method: Method
    goal: Goal
    seed: int
    origin: Provenance

    @property
    def algorithm(self) -> dict[str, Any]:
        """Method and goal as a circuit file has them."""
        goal = {"kind": type(self.goal).__name__, **asdict(self.goal)}
        return {"name": self.method.name, "goal": goal, "settings": asdict(self.method)}

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
    ) -> Result:
        """Find the circuit and judge it, as `discover` does.

        Raises: as `discover`.
        """
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), self.request)
        walk = search(self.method, self.goal, self.seed).walk(self.discovery, kept.load() if kept and resume else None)
        circuit, account = drain(walk, watch, kept)
        if watch is not None:
            watch(Progress(f"judging the circuit on {len(self.judgement.pairs):,} prompts", 0, 1))
        judged = faithfulness(self.judgement, circuit, self.seed)
        scores = self.method.entry.scores
        found = {
            "threshold": account.chosen.threshold,
            **account.figures,
            "score": scores.meaning,
            "score_kind": scores.kind,
        }
        provenance = {
            **self.origin.to_json(),
            "algorithm": {**self.algorithm, **found},
            "curve": [asdict(point) for point in account.curve],
            "faithfulness": judged.to_json(),
        }
        if (form := answer_form(self.judgement)) is not None and form.prefers_other:
            provenance["answer_form"] = form.to_json()
        return Result(replace(circuit, provenance=provenance), judged, account.curve)


def measured_for(goal: Goal, method: Method, setup: Setup) -> Setup:
    """The setup with the metric that a goal needs where none is named: pruning to a KL or an accuracy measures by KL.

    A falling threshold of another metric need never bring the circuit near the model, as edges that work against the
    behaviour are always dropped.
    """
    if setup.metric is None and method.entry.prunes and isinstance(goal, (MeanKL, KeptAccuracy)):
        return replace(setup, metric="kl")
    return setup


def default_directory(task: str, model: str) -> Path:
    """Where the command line keeps what it finds unless told otherwise: `runs/<task>-<model>`, both by name."""
    model = expanded(model)
    if is_gguf(model):
        name = Path(model).stem
    else:
        name = Path(model).resolve().name if Path(model).is_dir() else model.replace("/", "--").replace(":", "-")
    return Path("runs") / f"{task}-{name}"
