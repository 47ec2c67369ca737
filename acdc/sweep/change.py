"""How one behaviour's circuit changes over the models of a grid, in their order: checkpoints of one training, say.

Edges are the same by name only in models of one shape. What circuits are made of is compared in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from acdc.correctness import SELDOM
from acdc.graphs.nodes import Edge
from acdc.judges.stability import jaccard
from acdc.sweep.makeup import MakeupChange
from acdc.sweep.results import CellResult, SweepResults


@dataclass(frozen=True)
class CircuitChange:
    """A circuit against that of an earlier model: edges that came and that went, and their Jaccard index."""

    before: str
    jaccard: float
    gained: tuple[Edge, ...]
    lost: tuple[Edge, ...]


@dataclass(frozen=True)
class CourseStep:
    """A cell, and how its circuit changed since the nearest earlier model that has one; None for the first.

    `change` is by the names of edges, and None too where that model's shape is another; `makeup` is by role and depth.
    """

    cell: CellResult
    change: CircuitChange | None = None
    makeup: MakeupChange | None = None


@dataclass(frozen=True)
class Course:
    """A task's circuits over the models, by one method, with one seed."""

    task: str
    method: str
    seed: int
    steps: tuple[CourseStep, ...]


def courses(results: SweepResults) -> Iterator[Course]:
    """Every course of a grid.

    Raises: BadCircuitFile.
    """
    groups: dict[tuple[str, str, int], list[CellResult]] = {}
    for cell in results.cells:
        groups.setdefault((cell.task, cell.method, cell.seed), []).append(cell)
    for (task, method, seed), cells in sorted(groups.items(), key=lambda one: results.tasks.index(one[0][0])):
        yield Course(task, method, seed, tuple(_steps(cells)))


def first_shown(results: SweepResults, task: str) -> str | None:
    """The first model that shows the behaviour itself; None where none does, or none was measured.

    It is right on at least half of the judgement prompts, and more often than without any edge, in the mean over the
    cells that measured it.
    """
    return next((model for model in results.models if shows(list(results.of(task, model)))), None)


def shows(cells: Sequence[CellResult]) -> bool:
    """Whether cells of one task on one model have measured that it shows the behaviour, as `first_shown` says."""
    levels = [figures["faithfulness"]["accuracy"] for cell in cells if (figures := cell.figures)]
    if not levels:
        return False
    full, none = (mean(level[which] for level in levels) for which in ("full", "none"))
    return bool(full >= SELDOM and full > none)


def _steps(cells: list[CellResult]) -> Iterator[CourseStep]:
    before: CellResult | None = None
    for cell in cells:
        own, other = cell.circuit, before.circuit if before else None
        if own is None:
            yield CourseStep(cell)
            continue
        if before is None or other is None:
            yield CourseStep(cell)
        else:
            makeup, change = MakeupChange.between(before.model, other, own), None
            if own.graph == other.graph:
                gained, lost = (tuple(one.ordered()) for one in (own - other, other - own))
                change = CircuitChange(before.model, jaccard(own, other), gained, lost)
            yield CourseStep(cell, change, makeup)
        before = cell
