"""The main job: name a behaviour, get its circuit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tasks
from acdc.algorithms.sweep import CurvePoint, Progress, ThresholdSweep
from acdc.errors import BadSetting
from acdc.goals import Goal, KeptFaithfulness
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.models import load_named
from acdc.problem import Problem
from acdc.record import Asked, record
from acdc.setup import Setup
from graphs.ablation import Ablation
from graphs.circuit import Circuit
from graphs.model import Model
from tasks.metrics import metric
from tasks.task import Task

METHODS = ("acdc",)


@dataclass(frozen=True)
class Result:
    """A circuit, how faithful it is on the judgement prompts, and every size and faithfulness met on the way to it."""

    circuit: Circuit
    faithfulness: Faithfulness
    curve: tuple[CurvePoint, ...]


def discover(
    task: str | Path | Task,
    model: str | None = None,
    *,
    method: str = "acdc",
    goal: Goal = KeptFaithfulness(),  # noqa: B008  # a frozen value
    setup: Setup = Setup(),  # noqa: B008  # likewise
    watch: Callable[[Progress], None] | None = None,
) -> Result:
    """Find the circuit of a behaviour.

    `task` is a task, its name or the path of a behaviour file, `model` a model's name (None: the task's own). The
    circuit is found on the discovery prompts and judged on the judgement prompts. `watch` hears of every receiver
    decided.

    Raises: TaskError, GraphsError or AcdcError, with one of their members for each mistake a caller can make.
    """
    if method not in METHODS:
        raise BadSetting(f"unknown method {method!r}; wanted one of {', '.join(METHODS)}")
    file = None
    if not isinstance(task, Task):
        if task not in tasks.names():  # a name is a name even where a file is called the same
            file = str(Path(task).resolve())
        task = tasks.get(task)
    asked = Asked(task, file, model or task.model)
    discovery, judgement = problems(task, load_named(asked.model, setup), setup)
    walk = ThresholdSweep(goal).walk(discovery)
    while True:
        try:
            progress = next(walk)
        except StopIteration as stop:
            swept = stop.value
            break
        if watch is not None:
            watch(progress)
    judged = faithfulness(judgement, swept.circuit, setup.seed)
    provenance = record(asked, discovery, judgement, setup) | {
        "algorithm": {
            "name": method,
            "goal": {"kind": type(goal).__name__, **asdict(goal)},
            "threshold": swept.chosen.threshold,
            "tested": swept.pruned.tested,
            "closest_decision": swept.pruned.closest,
            "score": f"by how much {discovery.metric.name} got worse when the edge was removed; positive: it helps",
        },
        "curve": [asdict(point) for point in swept.curve],
        "faithfulness": judged.to_json(),
    }
    return Result(replace(swept.circuit, provenance=provenance), judged, swept.curve)


def problems(task: Task, model: Model, setup: Setup) -> tuple[Problem, Problem]:
    """The discovery and the judgement problem of a task on a model.

    Raises: BadPrompts when the model's tokenizer cannot express enough prompts.
    """
    prompts = task.build(model.tokenizer, setup.prompts, setup.seed)
    measured, ablation = metric(setup.metric or task.metric), Ablation(setup.ablation)
    return (
        Problem(model, prompts.discovery, measured, ablation),
        Problem(model, prompts.judgement, measured, ablation),
    )


def default_directory(task: str, model: str) -> Path:
    """Where the command line keeps what it finds unless told otherwise: `runs/<task>-<model>`, both by name."""
    name = Path(model).resolve().name if Path(model).is_dir() else model.replace("/", "--")
    return Path("runs") / f"{task}-{name}"
