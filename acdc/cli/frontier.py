"""`acdc bench --frontier`: how small, how faithful, in how many minutes, by method, on real models?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from acdc.cli import terminal
from acdc.cli.bench_files import names, unwritable, written
from acdc.cli.exits import Exit
from acdc.cli.run_directory import free_directory, of_bench
from acdc.drain import drain

if TYPE_CHECKING:
    from acdc.bench.frontier import Frontier, FrontierStep

_TABLE = "frontier.json"


def measure_frontier(
    lists: Mapping[str, str | None], prompts: int | None, minutes: float | None, out: Path | None, json: bool
) -> None:
    """Measure what is not in the folder yet, then print tables and write frontier.json and pictures.

    `lists` are names with commas between them, by what they name; None stands for the default.

    Raises: typer.Exit where a process ended without a result; BadSetting, UnknownModel, UnwritableOutput.
    """
    from acdc.bench.frontier import Frontier, summary

    chosen: dict[str, Any] = {what: names(given) for what, given in lists.items() if given is not None}
    chosen |= {what: given for what, given in (("prompts", prompts), ("minutes", minutes)) if given is not None}
    frontier = Frontier(**chosen)
    cells = list(frontier.cells())
    obstacle = of_bench([frontier.settings(cell) for cell in cells], [cell.file for cell in cells], _TABLE)
    directory = Path("runs/frontier") if out is None else out
    with free_directory(directory, obstacle, named=out is not None) as destination:
        kept_in = destination.directory
        results = _measured(frontier, kept_in / "cells")
        data = summary(results)
        from acdc.report.frontier_picture import pictures

        files = written(kept_in, _TABLE, data, dict(pictures(results)))
    if json:
        terminal.write_json(data)
    else:
        from acdc.report.frontier import tables

        terminal.parts(tables(results))
        terminal.results().print(f"\nWritten to {kept_in}: {', '.join(files)}", soft_wrap=True)
    if failed := sum("failed" in result for result in results):
        terminal.warn(f"{failed} of {len(results)} were not measured; the same command tries only these again")
        raise typer.Exit(Exit.ENVIRONMENT)


def _measured(frontier: Frontier, folder: Path) -> list[dict[str, Any]]:
    from acdc.cli.progress import watching

    with watching(quiet=False) as watch:

        def tell(step: FrontierStep) -> None:
            if step.kept:
                watch.piece(f"{step.cell.words} (kept)", step.number, step.total)
            else:
                watch.stage(f"{step.number} of {step.total}: {step.cell.words}")

        try:
            return drain(frontier.run(folder), tell)
        except OSError as error:
            raise unwritable(folder, error) from error
