"""What came of a grid as an HTML page: tasks by models, and how a behaviour's circuit changes from model to model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from statistics import mean
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from acdc.report.runs.document import STYLE, address, policy
from acdc.report.runs.listing import RunList
from acdc.sweep.change import Course, CourseStep, courses, first_shown, shows
from acdc.sweep.results import STATUSES, CellResult, SweepResults

LIST = "/runs"
"""Where the list of runs is, where the folder is a grid's."""
_LEVELS = 10
_SHADES = "".join(
    f".kept{level} {{ background: color-mix(in srgb, #2a9d5c {6 * level}%, transparent); }}\n"
    for level in range(_LEVELS + 1)
)
_STYLE = f"""{STYLE}
.matrix {{ width: auto; }} .matrix th, .matrix td {{ padding: .4rem .8rem; text-align: center; }}
.matrix th[scope=row] {{ text-align: left; }} section {{ margin-top: 2.5rem; }}
table + table {{ margin-top: 1.5rem; }} .other {{ color: var(--faint); }}
summary {{ cursor: pointer; }} summary:focus-visible {{ outline: 3px solid #7a3fb0; outline-offset: 2px; }}
{_SHADES}"""


def sweep_document(runs: RunList) -> tuple[str, str] | None:
    """The page, and the content security policy that it is served with; None where the folder is no grid's.

    Raises: BadRunFile, BadCircuitFile.
    """
    results = SweepResults.read(runs.folder)
    if results is None:
        return None
    over = list(courses(results))
    pages = {entry.directory.name: address(runs.name(entry.directory)) for entry in runs.entries}
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        files(__package__).joinpath("sweep.html").read_text("utf-8")
    )
    page = template.render(
        folder=str(runs.folder),
        runs=LIST,
        grid=results.grid,
        counts=[(status, count) for status in STATUSES if (count := results.count(status))],
        several_seeds=len({cell.seed for cell in results.cells}) > 1,
        models=results.models,
        matrices=[(method, list(_matrix(results, method))) for method in results.methods],
        behaviours=[_behaviour(results, task, over, pages) for task in results.tasks],
        lacking=[cell for cell in results.cells if cell.message],
        style=Markup(_STYLE),
    )
    return page, policy(_STYLE)


def _matrix(results: SweepResults, method: str) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """A row for each task, with what circuits of each model keep."""
    for task in results.tasks:
        yield task, [_kept(list(results.of(task, model, method))) for model in results.models]


def _kept(cells: list[CellResult]) -> Mapping[str, Any]:
    """What the circuits of some cells keep: of one its interval, of several their mean and range; or their status."""
    done = [cell for cell in cells if cell.status == "done"]
    if not done:
        return {"status": cells[0].status if cells else "", "why": cells[0].message if cells else ""}
    values = [cell.figures["faithfulness"]["normalised"] for cell in done]
    one = [value["value"] for value in values]
    low, high = (values[0]["low"], values[0]["high"]) if len(cells) == 1 else (min(one), max(one))
    level = round(_LEVELS * max(0.0, min(1.0, mean(one))))
    return {
        "value": mean(one),
        "low": low,
        "high": high,
        "level": level,
        "done": len(done),
        "of": len(cells),
        "shown": shows(cells),
    }


def _behaviour(results: SweepResults, task: str, over: list[Course], pages: Mapping[str, str]) -> Mapping[str, Any]:
    """A task's circuits, course by course."""
    return {
        "task": task,
        "first": first_shown(results, task),
        "courses": [(course, [_step(step, pages) for step in course.steps]) for course in over if course.task == task],
    }


def _step(step: CourseStep, pages: Mapping[str, str]) -> Mapping[str, Any]:
    figures = step.cell.figures
    return {
        "model": step.cell.model,
        "status": step.cell.status,
        "address": pages.get(step.cell.hash, ""),
        "judged": figures.get("faithfulness"),
        "change": step.change,
        "makeup": step.makeup,
    }
