"""`acdc bench`: do the methods find circuits that are known?"""

from __future__ import annotations

import json as encoding
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from acdc.cli import terminal
from acdc.cli.options import AsJson, flag, option
from acdc.cli.run_directory import free_directory, of_bench
from acdc.drain import drain
from acdc.errors import BadSetting, UnwritableOutput
from acdc.graphs.ablation import Ablation
from acdc.graphs.files import write_atomically

if TYPE_CHECKING:
    from acdc.bench.suite import Done, Suite

_KINDS = tuple(kind.value for kind in Ablation)


def bench(
    methods: Annotated[str | None, option("--methods", takes="NAMES", is_="With commas between them [all]")] = None,
    models: Annotated[str | None, option("--models", takes="NAMES", is_="With commas between them [all]")] = None,
    seeds: Annotated[
        int | None, option("--seeds", takes="N", is_="Seeds 0 to N-1 for each model [3; quick: 1]")
    ] = None,
    ablations: Annotated[
        str | None, option("--ablations", takes="KINDS", is_="[resample,mean,zero; quick: resample]")
    ] = None,
    prompts: Annotated[
        int | None, option("--prompts", takes="N", is_="To find with, and to judge by [64; quick: 16]")
    ] = None,
    quick: Annotated[bool, flag("--quick", is_="Fewer seeds, ablations, prompts and thresholds")] = False,
    out: Annotated[Path | None, option("--out", "-o", takes="DIR", is_="Where results are kept [runs/bench]")] = None,
    json: AsJson = False,
) -> None:
    """Judge methods by models whose circuit is known.

    Prints a table for each ablation, and writes bench.json and a picture for each. What is in the folder already is not
    measured again as long as its settings are the same; delete the folder to start anew.
    """
    from acdc.bench.suite import default, summary

    suite = _chosen(default(quick=quick), methods, models, seeds, ablations, prompts)
    cells = list(suite.cells())
    obstacle = of_bench([suite.settings(cell) for cell in cells], [cell.file for cell in cells])
    directory = Path("runs/bench") if out is None else out
    with free_directory(directory, obstacle, named=out is not None) as destination:
        kept_in = destination.directory
        results = _measured(suite, kept_in / "cells")
        data = summary(results)
        files = _written(data, kept_in)
    if json:
        terminal.write_json(data)
        return
    from acdc.report.bench import tables

    terminal.parts(tables(results))
    terminal.results().print(f"\nWritten to {kept_in}: {', '.join(files)}", soft_wrap=True)


def _chosen(
    suite: Suite, methods: str | None, models: str | None, seeds: int | None, ablations: str | None, prompts: int | None
) -> Suite:
    changes: dict[str, Any] = {"seeds": seeds, "prompts": prompts}
    changes |= {name: given and _names(given) for name, given in (("methods", methods), ("models", models))}
    if ablations is not None:
        if unknown := [name for name in _names(ablations) if name not in _KINDS]:
            raise BadSetting(f"unknown ablation {unknown[0]!r}; wanted some of {', '.join(_KINDS)} (--ablations)")
        changes["ablations"] = tuple(Ablation(name) for name in _names(ablations))
    return replace(suite, **{name: value for name, value in changes.items() if value is not None})


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _measured(suite: Suite, folder: Path) -> list[dict[str, Any]]:
    from acdc.cli.progress import watching

    walk = suite.run(folder)
    with watching(quiet=False) as watch:

        def tell(done: Done) -> None:
            watch.piece(f"{done.cell.words} (kept)" if done.kept else done.cell.words, done.done, done.total)

        try:
            return drain(walk, tell)
        except OSError as error:
            raise _unwritable(folder, error) from error


def _written(data: dict[str, Any], out: Path) -> list[str]:
    from acdc.report.bench_picture import pictures

    files = {"bench.json": (encoding.dumps(data, indent=1, allow_nan=False) + "\n").encode()}
    files |= {f"bench-{ablation}.png": picture for ablation, picture in pictures(data["cells"])}
    try:
        for name, content in files.items():
            write_atomically(out / name, content)
    except OSError as error:
        raise _unwritable(out, error) from error
    return list(files)


def _unwritable(folder: Path, error: OSError) -> UnwritableOutput:
    return UnwritableOutput(
        f"the output directory {folder} cannot be written: {error.strerror}; give one that you can write to with --out"
    )
