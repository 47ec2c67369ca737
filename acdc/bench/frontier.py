"""What circuits of every size keep of real behaviours, by method, each given so many minutes: kept cell by cell."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

from acdc import tasks
from acdc.bench import cell_files
from acdc.bench.frontier_process import in_own_process
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.models import resolve
from acdc.settings import Method, Minutes, Setup
from acdc.tasks.known_metrics import metric_name

SCHEMA = "acdc.frontier/3"
SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)
"""The edges that circuits have at most."""
OWN = "own"
"""The name that means a task's own metric."""
SEED = 0


@dataclass(frozen=True)
class FrontierCell:
    """One measurement: a method on a model, a task, a metric and an ablation."""

    model: str
    task: str
    metric: str
    ablation: Ablation
    method: str

    @property
    def words(self) -> str:
        """The cell in a few words."""
        return ", ".join((*self._of, self.method))

    @property
    def file(self) -> str:
        """What the file that keeps its result is called."""
        return f"{file_stem(*self._of, self.method)}.json"

    @property
    def _of(self) -> tuple[str, ...]:
        return subject_of(self.model, self.task, self.metric, self.ablation)


@dataclass(frozen=True)
class FrontierStep:
    """A cell that is about to be measured, or that is kept; its number, counted from 1, of how many."""

    cell: FrontierCell
    number: int
    total: int
    kept: bool


@dataclass(frozen=True)
class AbstractSearched:
    """`prompts` to find circuits with, and as many others to judge them by; `minutes` that each method may search for.

    Raises: BadSetting when they are too few or too many.
    """

    prompts: int = 64
    minutes: float = 10.0

    def __post_init__(self) -> None:
        Setup(prompts=self.prompts)
        Minutes(self.minutes)


@dataclass(frozen=True)
class Frontier(AbstractSearched):
    """What is put to what: all methods on all tasks of all models by all metrics ("own": the task's) and ablations.

    Raises: BadSetting when a name is unknown, or something is given none of or too much of; UnknownModel;
    UnknownMetric.
    """

    models: tuple[str, ...] = ("smollm2-135m", "gemma3-270m", "everyday-4l")
    tasks: tuple[str, ...] = ("ioi", "greater_than", "capitals")
    metrics: tuple[str, ...] = ("kl", OWN)
    methods: tuple[str, ...] = ("masks", "shortlist", "eap-ig")
    ablations: tuple[str | Ablation, ...] = (Ablation.RESAMPLE,)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "ablations", tuple(Setup(ablation=name).ablation for name in self.ablations))
        object.__setattr__(self, "methods", tuple(Method(name).name for name in self.methods))
        object.__setattr__(self, "metrics", tuple(name if name == OWN else metric_name(name) for name in self.metrics))
        for what in ("models", "tasks", "metrics", "methods", "ablations"):
            given = getattr(self, what)
            if not given or len(set(given)) < len(given):
                got = "one of them twice" if given else "none"
                raise BadSetting(f"a frontier needs {what}: got {got}, wanted at least one, and each once (--{what})")
        for name in self.tasks:
            if name not in tasks.names():
                close = get_close_matches(name, tasks.names(), n=2)
                hint = f"did you mean {' or '.join(close)}?" if close else "`acdc tasks` lists them"
                raise BadSetting(f"no task is called {name!r}; wanted tasks by their names; {hint} (--tasks)")
        for name in self.models:
            resolve(name)

    def cells(self) -> Iterator[FrontierCell]:
        """Every measurement, those on one subject together; a metric asked for twice over comes once."""
        for model in self.models:
            for task in self.tasks:
                own = tasks.get(task).metric
                for metric in dict.fromkeys(own if name == OWN else name for name in self.metrics):
                    for ablation in map(Ablation, self.ablations):
                        yield from (FrontierCell(model, task, metric, ablation, method) for method in self.methods)

    def settings(self, cell: FrontierCell) -> dict[str, Any]:
        """All that a cell's result depends on, as plain JSON data: where it is the same, the result is kept."""
        ablation = {} if cell.ablation is Ablation.RESAMPLE else {"ablation": cell.ablation.value}
        return {
            "schema": SCHEMA,
            "version": version("acdc-circuits"),
            "model": cell.model,
            "task": cell.task,
            "metric": cell.metric,
            **ablation,  # results of before there was a choice do not say it
            "method": asdict(Method(cell.method)),
            "prompts": self.prompts,
            "minutes": self.minutes,
            "seed": SEED,
            "sizes": list(SIZES),
        }

    def run(self, folder: Path) -> Generator[FrontierStep, None, list[dict[str, Any]]]:
        """Measure what is not in the folder yet, each cell in a process of its own; returns every result, in order.

        What a method, model or task does not allow is a result too. A process that ends without one is told in its
        place, and is tried again by the next run.

        Raises: OSError when the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        cells, results = list(self.cells()), []
        for number, cell in enumerate(cells, start=1):
            settings, file = self.settings(cell), folder / cell.file
            result = cell_files.kept(file, settings)
            yield FrontierStep(cell, number, len(cells), result is not None)
            if result is None:
                result = in_own_process(settings)
                if "failed" not in result:
                    cell_files.keep(file, result)
            results.append(result)
        return results


def subject_of(model: str, task: str, metric: str, ablation: str | Ablation) -> tuple[str, ...]:
    """What a cell is about, whatever its method, in a few words each; the usual ablation goes without saying."""
    kind = Ablation(ablation)
    return model, task, metric, *([] if kind is Ablation.RESAMPLE else [f"{kind.value} ablation"])


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """All results and what they were made with, as plain JSON data."""
    return cell_files.summary(SCHEMA, results)


def file_stem(*parts: str) -> str:
    """The beginning of a file's name made of these parts, of which a model's may be a path."""
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
