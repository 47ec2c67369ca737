"""What a terminal shows of a grid: what circuits keep, how they change, what failed, and what it would cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from acdc.report.sweep import forecast, kept, tables
from acdc.settings import Minutes
from acdc.sweep.change import courses
from acdc.sweep.demand import demands
from acdc.sweep.results import CellResult, SweepResults
from tests.acdc.sweep.grids import cells_of, small

GOAL = Minutes(1.0)


@pytest.fixture
def results(swept: Path) -> SweepResults:
    found = SweepResults.read(swept)
    assert found is not None
    return found


def text(*parts: RenderableType) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    return captured.get()


def without(cell: CellResult, status: str, message: str) -> CellResult:
    return replace(cell, record={"status": status, "message": message})


def test_a_model_that_hardly_does_it_is_marked_and_the_first_that_does_has_a_star(results: SweepResults) -> None:
    shown = text(*tables(results, list(courses(results))))
    rows = {line.split()[0]: line for line in reversed(shown.splitlines()) if line.startswith(("ck/", "periodic-2l"))}
    assert [model for model, row in rows.items() if row.rstrip().endswith("!")] == ["ck/step1"]
    assert "ck/step2 *" in shown
    assert shown.rstrip().endswith("6 done")


def test_one_cell_is_shown_with_its_interval_and_several_with_their_range(results: SweepResults) -> None:
    one, other = results.cells[-2:]
    interval, others = (cell.figures["faithfulness"]["normalised"] for cell in (one, other))
    assert kept([one]) == f"{interval['value']:.1%} ({interval['low']:.1%} to {interval['high']:.1%})"
    values = sorted((interval["value"], others["value"]))
    assert kept([one, other]) == f"{sum(values) / 2:.1%} ({values[0]:.1%} to {values[1]:.1%})"
    assert kept([one, without(other, "failed", "no")]).endswith(", 1 of 2")
    assert kept([without(one, "refused", "no")]) == "refused"
    assert kept([]) == ""


def test_cells_that_failed_for_one_reason_are_told_together(results: SweepResults) -> None:
    cells = [*(without(cell, "failed", "the disk is full") for cell in results.cells[:2]), *results.cells[2:]]
    changed = replace(results, cells=tuple(cells))
    shown = text(*tables(changed, list(courses(changed))))
    assert "failed: periodic on ck/step1, eap-ig, seed 0 and 1 more: the disk is full" in shown
    assert "4 done, 2 failed" in shown


def test_a_forecast_tells_what_is_left_and_what_it_cannot_tell(tmp_path: Path) -> None:
    more = ["then: {evaluate: true}"]
    cells = cells_of(small(tmp_path, models="[periodic-2l, planted:0]", seeds="[0, 1]", more=more))
    found = list(demands(cells))
    assert found[0].cost is found[1].cost is not None, "seeds are forecast together"
    assert (found[2].bytes, found[2].why) == (0, "the model's files do not tell before it is loaded")
    assert found[2].to_json()["unknown"] == found[2].why
    shown = text(*forecast(found, {cells[0].hash}))
    assert "4 cells, 1 of them done; the 3 left (2 of them not told) take " in shown
    assert shown.rstrip().endswith("what is done with the circuits afterwards comes on top")
    timed = [replace(each, cell=replace(each.cell, search=replace(each.cell.search, goal=GOAL))) for each in found]
    assert "depends on the machine" in text(*forecast(timed, set()))


def test_a_cell_that_will_be_refused_says_so_in_the_forecast(tmp_path: Path) -> None:
    grid = small(tmp_path)
    grid.write_text(grid.read_text().replace("prompts: 4,", "prompts: 4, metric: accuracy,"))
    (found,) = demands(cells_of(grid))
    assert found.cost is None
    assert "accuracy" in found.why
