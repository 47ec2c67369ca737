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
from acdc.models import resolve
from acdc.settings import Method, Minutes, Setup
from acdc.tasks.known_metrics import metric_name

SCHEMA = "acdc.frontier/2"
SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)
"""The edges that circuits have at most."""
OWN = "own"
"""The name that means a task's own metric."""
SEED = 0


@dataclass(frozen=True)
class FrontierCell:
    """One measurement: a method on a model, a task and a metric."""

    model: str
    task: str
    metric: str
    method: str

    @property
    def words(self) -> str:
        """The cell in a few words."""
        return f"{self.model}, {self.task}, {self.metric}, {self.method}"

    @property
    def file(self) -> str:
        """What the file that keeps its result is called."""
        return f"{file_stem(self.model, self.task, self.metric, self.method)}.json"


@dataclass(frozen=True)
class FrontierStep:
    """A cell that is about to be measured, or that is kept; its number, counted from 1, of how many."""

    cell: FrontierCell
    number: int
    total: int
    kept: bool


@dataclass(frozen=True)
class Frontier:
    """What is put to what: all methods on all tasks of all models by all metrics ("own": the task's).

    `prompts` to find circuits with, and as many others to judge them by; `minutes` that each method may search for.

    Raises: BadSetting when a name is unknown, or something is given none of or too much of; UnknownModel;
    UnknownMetric.
    """

    models: tuple[str, ...] = ("smollm2-135m", "gemma3-270m", "everyday-4l")
    tasks: tuple[str, ...] = ("ioi", "greater_than", "capitals")
    metrics: tuple[str, ...] = ("kl", OWN)
    methods: tuple[str, ...] = ("masks", "shortlist", "eap-ig")
    prompts: int = 64
    minutes: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(Method(name).name for name in self.methods))
        object.__setattr__(self, "metrics", tuple(name if name == OWN else metric_name(name) for name in self.metrics))
        for what in ("models", "tasks", "metrics", "methods"):
            given = getattr(self, what)
            if not given or len(set(given)) < len(given):
                got = "one of them twice" if given else "none"
                raise BadSetting(f"a frontier needs {what}: got {got}, wanted at least one, and each once (--{what})")
        Setup(prompts=self.prompts)
        Minutes(self.minutes)
        for name in self.tasks:
            if name not in tasks.names():
                close = get_close_matches(name, tasks.names(), n=2)
                hint = f"did you mean {' or '.join(close)}?" if close else "`acdc tasks` lists them"
                raise BadSetting(f"no task is called {name!r}; wanted tasks by their names; {hint} (--tasks)")
        for name in self.models:
            resolve(name)

    def cells(self) -> Iterator[FrontierCell]:
        """Every measurement, those on one model, task and metric together; a metric asked for twice over comes once."""
        for model in self.models:
            for task in self.tasks:
                own = tasks.get(task).metric
                for metric in dict.fromkeys(own if name == OWN else name for name in self.metrics):
                    yield from (FrontierCell(model, task, metric, method) for method in self.methods)

    def settings(self, cell: FrontierCell) -> dict[str, Any]:
        """All that a cell's result depends on, as plain JSON data: where it is the same, the result is kept."""
        return {
            "schema": SCHEMA,
            "version": version("acdc-circuits"),
            "model": cell.model,
            "task": cell.task,
            "metric": cell.metric,
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


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """All results and what they were made with, as plain JSON data."""
    return cell_files.summary(SCHEMA, results)


def file_stem(*parts: str) -> str:
    """The beginning of a file's name made of these parts, of which a model's may be a path."""
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
