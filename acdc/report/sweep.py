"""What came of a grid, for a terminal: what circuits keep by model and task, how they change, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from acdc.report.columns import plain_table
from acdc.report.price import span
from acdc.sweep.cell import FollowUps
from acdc.sweep.change import Course, first_shown, shows
from acdc.sweep.demand import CellDemand
from acdc.sweep.results import STATUSES, CellResult, SweepResults

_TOLD = 5
"""Messages of cells without a circuit that are told; the table has them all."""
_NONE = "-"


def tables(results: SweepResults, over: Sequence[Course]) -> Iterator[RenderableType]:
    """Everything that is to be read at the end, part by part."""
    yield matrix(results)
    if len(results.models) > 1:
        yield changes(results, over)
    lacking = [cell for cell in results.cells if cell.status in ("refused", "failed")]
    for message in dict.fromkeys(cell.message for cell in lacking[:_TOLD]):
        of = [cell for cell in lacking if cell.message == message]
        where = f"{of[0].task} on {of[0].model}, {of[0].method}, seed {of[0].seed}"
        more = f" and {len(of) - 1} more" if len(of) > 1 else ""
        yield Text(f"{of[0].status}: {where}{more}: {message}")
    yield Text(", ".join(f"{count:,} {status}" for status in STATUSES if (count := results.count(status))))


def matrix(results: SweepResults) -> Table:
    """What circuits keep of the behaviour: a row for each model and method, a column for each task."""
    table = plain_table()
    several = len(results.methods) > 1
    table.add_column("faithfulness", no_wrap=True)
    if several:
        table.add_column("method", no_wrap=True)
    for task in results.tasks:
        table.add_column(task, justify="right")
    for model in results.models:
        for method in results.methods:
            cells = [kept(list(results.of(task, model, method))) for task in results.tasks]
            if any(cells):
                table.add_row(model, *([method] if several else []), *cells)
    several_seeds = len({cell.seed for cell in results.cells}) > 1
    table.caption = (
        f"{'Mean (lowest to highest) over seeds' if several_seeds else 'With its 95% interval'}. !: the model itself "
        "hardly shows the behaviour, so that a circuit of it tells little."
    )
    table.caption_justify = "left"
    return table


def kept(cells: Sequence[CellResult]) -> str:
    """What circuits keep: of one its interval, of several their mean and range, and how many lack a circuit."""
    if not cells:
        return ""
    values = [cell.figures["faithfulness"]["normalised"] for cell in cells if cell.status == "done"]
    if not values:
        return next(iter(dict.fromkeys(cell.status for cell in cells)))
    one = [value["value"] for value in values]
    low, high = (values[0]["low"], values[0]["high"]) if len(cells) == 1 else (min(one), max(one))
    short = f", {len(values)} of {len(cells)}" if len(values) < len(cells) else ""
    return f"{mean(one):.1%} ({low:.1%} to {high:.1%}){short}{'' if shows(cells) else ' !'}"


def changes(results: SweepResults, over: Sequence[Course]) -> Table:
    """How circuits change from model to model, in the mean over seeds."""
    table = plain_table()
    for title in ("behaviour", "method", "model"):
        table.add_column(title, no_wrap=True)
    for title in ("model right", "edges", "Jaccard", "came", "went", "overlap"):
        table.add_column(title, justify="right")
    groups: dict[tuple[str, str], list[Course]] = {}
    for course in over:
        groups.setdefault((course.task, course.method), []).append(course)
    for (task, method), courses in groups.items():
        first = first_shown(results, task)
        for number, steps in enumerate(zip(*(course.steps for course in courses), strict=True)):
            figures = [step.cell.figures["faithfulness"] for step in steps if step.cell.status == "done"]
            compared = [step.change for step in steps if step.change]
            made = [step.makeup.overlap for step in steps if step.makeup]
            model = steps[0].cell.model
            table.add_row(
                *((task, method) if number == 0 else ("", "")),
                f"{model} *" if model == first else model,
                f"{mean(one['accuracy']['full'] for one in figures):.0%}" if figures else _NONE,
                f"{mean(one['size']['edges'] for one in figures):,.0f}" if figures else steps[0].cell.status,
                f"{mean(one.jaccard for one in compared):.2f}" if compared else _NONE,
                f"{mean(len(one.gained) for one in compared):,.1f}" if compared else _NONE,
                f"{mean(len(one.lost) for one in compared):,.1f}" if compared else _NONE,
                f"{mean(made):.0%}" if made else _NONE,
            )
    table.caption = (
        "Jaccard, came, went: against the circuit of the model before, if that is of the same shape. *: the first that "
        "shows the behaviour, right on at least half of the prompts and more often than without any edge. Overlap: of "
        "the shares of edges' ends that both circuits have at each role (or else kind) of node and fifth of the depth, "
        "whatever the models' shapes."
    )
    table.caption_justify = "left"
    return table


def forecast(demands: Sequence[CellDemand], done: set[str]) -> Iterator[RenderableType]:
    """What each cell would take, and all that are left together."""
    table = plain_table()
    for title in ("task", "model", "method", "seed"):
        table.add_column(title, justify="right" if title == "seed" else "left", no_wrap=True)
    for title in ("memory", "time", ""):
        table.add_column(title, justify="left" if not title else "right")
    for each in demands:
        cell, cost = each.cell, each.cost
        memory, time = (f"{each.bytes / 1e9:.1f} GB", span(*cost.seconds)) if cost else (_NONE, _NONE)
        state = "done" if cell.hash in done else each.why
        table.add_row(
            cell.task.name, cell.model.name, cell.search.method.name, str(cell.setup.seed), memory, time, state
        )
    yield table
    left = [each for each in demands if each.cell.hash not in done]
    known = [each.cost for each in left if each.cost]
    words = f"{len(demands):,} cells, {len(demands) - len(left):,} of them done"
    if known:
        total = span(sum(cost.seconds[0] for cost in known), sum(cost.seconds[1] for cost in known))
        untold = f" ({len(left) - len(known):,} of them not told)" if len(known) < len(left) else ""
        words += (
            f"; the {len(left):,} left{untold} take {total} one after another, if each loads its model, and at most "
        )
        words += f"{max(each.bytes for each in left) / 1e9:.1f} GB"
    yield Text(words)
    if any(each.cell.search.timed for each in demands):
        yield Text(
            "note: what a goal of minutes finds depends on the machine, so that another run may find another circuit"
        )
    if any(each.cell.then != FollowUps() for each in demands):
        yield Text("note: what is done with the circuits afterwards comes on top")
