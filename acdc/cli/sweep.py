"""`acdc sweep`: a grid of runs, here or on a Ray cluster, kept cell by cell."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acdc.cli import options as given
from acdc.cli import terminal
from acdc.cli.exits import Exit
from acdc.cli.options import argument, flag, option
from acdc.pieces.cluster import THIS_PROCESS, check_place, cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from acdc.sweep.cell import SweepCell
    from acdc.sweep.folder import SweepFolder
    from acdc.sweep.results import SweepResults
    from acdc.sweep.run import CellEnded


def sweep(
    grid: Annotated[Path, argument("GRID", is_="A grid file: tasks, models, methods, seeds.")],
    on: given.OnPlace = THIS_PROCESS,
    shard: Annotated[
        str | None, option("--shard", takes="I/N", is_="Only the I-th of N parts of the grid [1/1]")
    ] = None,
    dry_run: Annotated[bool, flag("--dry-run", is_="Only tell cells, memory and time; loads no weights")] = False,
    out: Annotated[
        Path | None, option("--out", "-o", takes="DIR", is_="Where results are kept [runs/sweep-<grid>]")
    ] = None,
    quiet: given.Quiet = False,
    json: given.AsJson = False,
) -> None:
    """Run a grid: every task on every model, by every method, with every seed.

    Each cell is kept as soon as it is done, and one that is done is not run again: run the same command again after
    whatever ended it. A cell that fails is told, and the others go on. The table of all cells is sweep.csv, and
    sweep.parquet where pyarrow is installed.
    """
    from acdc.sweep.folder import SweepFolder
    from acdc.sweep.grid import Shard, default_folder
    from acdc.sweep.reading import load_grid
    from acdc.sweep.results import describe
    from acdc.sweep.run import kept_and_left

    check_place(on)
    part = Shard() if shard is None else Shard.parse(shard)
    every = load_grid(grid).cells()
    cells = part.cells(every)
    folder = SweepFolder((default_folder(grid) if out is None else out).absolute())
    kept, left = kept_and_left(cells, folder)
    if dry_run:
        _tell_cost(cells, {one.cell.hash for one in kept}, json=json)
        return
    describe(folder.directory, grid.resolve(), every)
    ended = _run(kept, left, folder, on, quiet=quiet)
    results = _written(folder.directory, json=json, quiet=quiet)
    ours = {cell.hash for cell in cells}
    lacking = [cell for cell in results.cells if cell.hash in ours and cell.status != "done"]
    if lacking:
        terminal.fail(f"{len(lacking):,} of {len(ended):,} cells have no circuit; sweep.csv says why of each")
        raise typer.Exit(Exit.FAILED_CHECK)


def _run(
    kept: Sequence[CellEnded], left: Sequence[SweepCell], folder: SweepFolder, on: str, *, quiet: bool
) -> list[CellEnded]:
    """Make the cells that are left, and tell of each as it ends."""
    from acdc.cli.progress import watching

    ended, total = list(kept), len(kept) + len(left)
    with ended_by_interrupt(), watching(quiet=quiet) as watch:
        if kept:
            watch.line(f"{len(kept):,} of {total:,} cells are done already")
        if left:
            watch.stage(f"starting on {on}")
        for one in _walk(left, folder, on):
            ended.append(one)
            status = one.record["status"]
            watch.piece(one.cell.words + (f" ({status})" if status != "done" else ""), len(ended), total)
    return ended


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Inside, Ctrl-C ends everything: a search would end with the best so far, which would be kept as its result."""

    def end(number: int, frame: FrameType | None) -> None:
        terminal.errors().print("interrupted; the same command goes on with the cells that are left", soft_wrap=True)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _walk(left: Sequence[SweepCell], folder: SweepFolder, on: str) -> Iterator[CellEnded]:
    if on == THIS_PROCESS:
        from acdc.sweep.run import run_here

        return run_here(left, folder)
    return _walk_on_ray(left, folder, on) if left else iter(())


def _walk_on_ray(left: Sequence[SweepCell], folder: SweepFolder, on: str) -> Iterator[CellEnded]:
    from acdc.sweep.demand import demands
    from acdc.sweep.on_ray import run_on_ray

    wanted = list(demands(left))
    with cluster(on) as ray:
        yield from run_on_ray(wanted, folder, ray)


def _written(directory: Path, *, json: bool, quiet: bool) -> SweepResults:
    """The results of the whole grid, after its table has been written and shown."""
    from acdc.report.sweep import tables
    from acdc.sweep.change import courses
    from acdc.sweep.results import SweepResults
    from acdc.sweep.table import PARQUET, table, write

    results = SweepResults.read(directory)
    assert results is not None
    over = list(courses(results))
    frame = table(results, over)
    files = write(frame, directory)
    if json:
        rows = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
        terminal.write_json({"directory": str(directory), "cells": rows})
        return results
    if not quiet:
        terminal.parts(tables(results, over))
    missing = (
        "" if any(file.name == PARQUET for file in files) else "; for Parquet: pip install 'acdc-circuits[parquet]'"
    )
    terminal.written(files, missing)
    terminal.results().print(f"Next: acdc view {terminal.quoted(directory)}", soft_wrap=True)
    return results


def _tell_cost(cells: Sequence[SweepCell], done: set[str], *, json: bool) -> None:
    from acdc.report.sweep import forecast
    from acdc.sweep.demand import demands

    found = list(demands(cells))
    if json:
        terminal.write_json([{**each.to_json(), "done": each.cell.hash in done} for each in found])
    else:
        terminal.parts(forecast(found, done))
