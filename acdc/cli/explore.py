"""`acdc explore`: what happens inside a model as it does a behaviour, before any circuit is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from acdc import tasks
from acdc.cli import options as given
from acdc.cli import terminal
from acdc.cli.bench_files import written
from acdc.cli.destination import Destination
from acdc.cli.options import flag, option
from acdc.cli.run_directory import free_directory
from acdc.discovery.defaults import EXPLORED, EXPLORED_IF_LARGE, LARGE, default_directory
from acdc.models import graph_of, resolve
from acdc.settings import Compute, Setup

if TYPE_CHECKING:
    from acdc.explain.exploration import Exploration
    from acdc.progress import Progress

_FILE = "explore.json"


def explore(
    task: given.Behaviour,
    model: given.OnModel = None,
    metric: Annotated[
        str | None, option("--metric", takes="NAME", is_="What patching is measured by [logit_difference]")
    ] = None,
    prompts: Annotated[
        int | None, option("--prompts", takes="N", is_="Prompts to explore on [16; 8, if large]")
    ] = None,
    seed: Annotated[int, option("--seed", takes="N", is_="Seed of the prompts and of all that is random [0]")] = 0,
    full: Annotated[bool, flag("--full", is_="Every cell of maps on every prompt, and probes")] = False,
    device: given.Device = "cpu",
    dtype: given.Precision = "float32",
    out: Annotated[
        Path | None, option("--out", "-o", takes="DIR", is_="Where the files go [runs/explore-<task>-<model>]")
    ] = None,
    quiet: given.Quiet = False,
    json: given.AsJson = False,
) -> None:
    """Show what happens inside a model as it does a behaviour.

    Logit lens, direct logit attribution, activation patching, attention, probes and steering, each beside a control, as
    tables, in explore.json, and as pictures (PNG and SVG).
    """
    named = tasks.get(task)
    on = model or named.model
    resolve(on)
    graph = graph_of(on)
    few = EXPLORED_IF_LARGE if graph is not None and graph.n_edges >= LARGE else EXPLORED
    setup = Setup(metric, prompts=few if prompts is None else prompts, seed=seed, compute=Compute(device, dtype))
    usual = default_directory(named.name, on)
    directory = out if out is not None else usual.with_name(f"explore-{usual.name}")
    Destination(directory).check([_FILE])
    with free_directory(directory, _obstacle, named=out is not None) as destination:
        found, files = _explored(task, model, setup, destination.directory, full=full, quiet=quiet)
    if json:
        terminal.write_json(found.to_json())
        return
    from acdc.report.exploration import tables

    terminal.parts(tables(found, brief=quiet))
    terminal.written([destination.directory / name for name in files])


def _explored(
    task: str, model: str | None, setup: Setup, directory: Path, *, full: bool, quiet: bool
) -> tuple[Exploration, list[str]]:
    from acdc.cli.progress import watching
    from acdc.explain.exploration import explore as explored
    from acdc.explain.exploration import pictures

    with watching(quiet=quiet) as watch:
        watch.stage("loading the model")

        def tell(progress: Progress) -> None:
            if progress.done == 0:
                watch.stage(progress.stage)
            else:
                watch.pruning(progress)

        found = explored(task, model, setup=setup, full=full, watch=tell)
        watch.stage("drawing")
        files = written(directory, _FILE, found.to_json(), dict(pictures(found)))
    return found, files


def _obstacle(candidate: Path) -> str:
    """What of another run is in a directory."""
    there = next((name for name in (_FILE, "circuit.json", "attack.json") if (candidate / name).exists()), None)
    return f"another result ({there})" if there else ""
