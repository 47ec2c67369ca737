"""`acdc bench`: do the methods find circuits that are known, and how small are they on real models?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from acdc.cli import terminal
from acdc.cli.bench_files import names, unwritable, written
from acdc.cli.frontier import measure_frontier
from acdc.cli.options import AsJson, OnPlace, flag, option
from acdc.cli.run_directory import free_directory, of_bench
from acdc.drain import drain
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.pieces.cluster import THIS_PROCESS, check_place

if TYPE_CHECKING:
    from acdc.bench.suite import Done, Suite

_KINDS = tuple(kind.value for kind in Ablation)


def bench(
    methods: Annotated[
        str | None, option("--methods", takes="NAMES", is_="With commas between them [all; frontier: 3]")
    ] = None,
    models: Annotated[
        str | None, option("--models", takes="NAMES", is_="With commas between them [all; frontier: 3]")
    ] = None,
    seeds: Annotated[
        int | None, option("--seeds", takes="N", is_="Seeds 0 to N-1 for each model [3; quick: 1]")
    ] = None,
    ablations: Annotated[
        str | None, option("--ablations", takes="KINDS", is_="[resample,mean,zero; quick, frontier: resample]")
    ] = None,
    prompts: Annotated[
        int | None, option("--prompts", takes="N", is_="To find with, and to judge by [64; quick: 16]")
    ] = None,
    quick: Annotated[bool, flag("--quick", is_="Fewer seeds, ablations, prompts and thresholds")] = False,
    frontier: Annotated[bool, flag("--frontier", is_="What circuits of every size keep on real models")] = False,
    tasks: Annotated[str | None, option("--tasks", takes="NAMES", is_="Frontier: [ioi,greater_than,capitals]")] = None,
    metrics: Annotated[
        str | None, option("--metrics", takes="NAMES", is_="Frontier: own is the task's [kl,own]")
    ] = None,
    minutes: Annotated[
        float | None, option("--minutes", takes="N", is_="Frontier: what each search may take [10]")
    ] = None,
    on: OnPlace = THIS_PROCESS,
    out: Annotated[
        Path | None, option("--out", "-o", takes="DIR", is_="Where results are kept [runs/bench, runs/frontier]")
    ] = None,
    json: AsJson = False,
) -> None:
    """Judge methods by models whose circuit is known, or by what their circuits of every size keep of real behaviours.

    Prints tables, and writes bench.json and a picture for each ablation; with --frontier, frontier.json and a picture
    for each model, task, metric and ablation. What is in the folder already is not measured again as long as its
    settings are the same: run the same command again after Ctrl-C. Delete the folder to start anew.
    """
    check_place(on)
    elsewhere = None if on == THIS_PROCESS else on
    _require_sense(
        frontier,
        known={"--seeds": seeds, "--quick": quick or None, "--on": elsewhere},
        real={"--tasks": tasks, "--metrics": metrics, "--minutes": minutes},
    )
    if frontier:
        measure_frontier(
            {"methods": methods, "models": models, "tasks": tasks, "metrics": metrics, "ablations": ablations},
            *(prompts, minutes, out, json),
        )
        return
    from acdc.bench.suite import default, summary

    suite = _chosen(default(quick=quick), methods, models, seeds, ablations, prompts)
    cells = list(suite.cells())
    obstacle = of_bench([suite.settings(cell) for cell in cells], [cell.file for cell in cells])
    directory = Path("runs/bench") if out is None else out
    with free_directory(directory, obstacle, named=out is not None) as destination:
        kept_in = destination.directory
        results = _measured(suite, kept_in / "cells", on)
        data = summary(results)
        from acdc.report.bench_picture import pictures

        drawn = {f"bench-{ablation}.png": picture for ablation, picture in pictures(data["cells"])}
        files = written(kept_in, "bench.json", data, drawn)
    if json:
        terminal.write_json(data)
        return
    from acdc.report.bench import tables

    terminal.parts(tables(results))
    terminal.results().print(f"\nWritten to {kept_in}: {', '.join(files)}", soft_wrap=True)


def _require_sense(frontier: bool, known: Mapping[str, object], real: Mapping[str, object]) -> None:
    """Refuse options of known circuits where a frontier is asked for, and those of a frontier where it is not.

    Raises: BadSetting.
    """
    given = [name for name, value in (known if frontier else real).items() if value is not None]
    if not given:
        return
    where, remedy = ("with", "or leave out") if frontier else ("without", "or add")
    raise BadSetting(
        f"{given[0]} has no meaning {where} --frontier: got {', '.join(given)}, wanted none of "
        f"{', '.join(known if frontier else real)}; leave out {given[0]}, {remedy} --frontier"
    )


def _chosen(
    suite: Suite, methods: str | None, models: str | None, seeds: int | None, ablations: str | None, prompts: int | None
) -> Suite:
    changes: dict[str, Any] = {"seeds": seeds, "prompts": prompts}
    changes |= {name: given and names(given) for name, given in (("methods", methods), ("models", models))}
    if ablations is not None:
        if unknown := [name for name in names(ablations) if name not in _KINDS]:
            raise BadSetting(f"unknown ablation {unknown[0]!r}; wanted some of {', '.join(_KINDS)} (--ablations)")
        changes["ablations"] = tuple(Ablation(name) for name in names(ablations))
    return replace(suite, **{name: value for name, value in changes.items() if value is not None})


def _measured(suite: Suite, folder: Path, on: str) -> list[dict[str, Any]]:
    from acdc.cli.placing import placed
    from acdc.cli.progress import watching

    with watching(quiet=False) as watch, placed(on, watch) as where:

        def tell(done: Done) -> None:
            watch.piece(f"{done.cell.words} (kept)" if done.kept else done.cell.words, done.done, done.total)

        try:
            return drain(suite.run(folder, where), tell)
        except OSError as error:
            raise unwritable(folder, error) from error
