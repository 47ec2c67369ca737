"""A grid of runs: every task on every model, by every method, with every seed, as the cells that it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from acdc.discovery.defaults import Defaults
from acdc.errors import BadSetting
from acdc.models import graph_of
from acdc.settings import Goal, Method, Setup
from acdc.sweep.cell import CellSearch, FollowUps, GridSubject, SweepCell

SCHEMA = "acdc.sweep/1"


@dataclass(frozen=True)
class SearchChoice:
    """How circuits are searched for; () and None: as suits the size of a model's graph."""

    methods: tuple[Method, ...] = ()
    goal: Goal | None = None
    threads: int = 1


@dataclass(frozen=True)
class GridSubjects:
    """The tasks, the models in the order of the checkpoints, and for a task's name the hypothesis files about it."""

    tasks: tuple[GridSubject, ...]
    models: tuple[GridSubject, ...]
    hypotheses: Mapping[str, tuple[GridSubject, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """What a grid file says; the setup's seed is each of `seeds` in turn, and so is that of an attack."""

    subjects: GridSubjects
    search: SearchChoice
    setup: Setup
    seeds: tuple[int, ...]
    then: FollowUps

    def cells(self) -> tuple[SweepCell, ...]:
        """Every run, those on one model together, so that it is loaded once."""
        return tuple(self._cells())

    def _cells(self) -> Iterator[SweepCell]:
        for model in self.subjects.models:
            graph = graph_of(model.found_by)
            for task in self.subjects.tasks:
                for method in self.search.methods or (None,):
                    chosen = Defaults.of(graph, method=method, goal=self.search.goal, prompts=self.setup.prompts)
                    how = CellSearch(chosen.method, chosen.goal, self.search.threads)
                    for seed in self.seeds:
                        yield SweepCell(task, model, how, replace(self.setup, seed=seed), self._then(task, seed))

    def _then(self, task: GridSubject, seed: int) -> FollowUps:
        attack = self.then.attack and replace(self.then.attack, seed=seed)
        return replace(self.then, attack=attack, hypotheses=self.subjects.hypotheses.get(task.name, ()))


@dataclass(frozen=True)
class Shard:
    """The cells of one of `of` jobs, `number` counted from 1: a stretch of the grid, so that models are reused."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """What `--shard 2/8` says.

        Raises: BadSetting.
        """
        number, stroke, of = text.partition("/")
        if not (stroke and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise BadSetting(f"--shard is {text!r}; wanted I/N, the I-th of N jobs counted from 1, such as 1/8")
        return cls(int(number), int(of))

    def cells(self, every: tuple[SweepCell, ...]) -> tuple[SweepCell, ...]:
        """Its part of all cells; the parts of all jobs together are all of them, each once."""
        first, last = ((index * len(every)) // self.of for index in (self.number - 1, self.number))
        return every[first:last]


def default_folder(grid: Path) -> Path:
    """Where a grid's results go unless told otherwise: `runs/sweep-<the file's name>`."""
    return Path("runs") / f"sweep-{grid.name.removesuffix('.yaml').removesuffix('.yml')}"
