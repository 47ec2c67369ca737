"""`acdc stability`: would other prompts have given the same circuit?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acdc.cli import options as given
from acdc.cli import run_page, terminal
from acdc.cli.destination import Destination
from acdc.cli.interruption import interruptible
from acdc.cli.options import circuit_file
from acdc.cli.run_directory import free_directory, of_stability
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.pieces.cluster import THIS_PROCESS, check_place

if TYPE_CHECKING:
    from acdc.progress import Progress

_CHECKPOINT = "stability-checkpoint.json"
_SHOWN_EDGES = 20


def stability(
    circuit: given.CircuitPath,
    resamples: given.Resamples = 20,
    seeds: given.Seeds = 5,
    device: given.Device = "cpu",
    on: given.OnPlace = THIS_PROCESS,
    anyway: given.Anyway = False,
    resume: given.Resume = False,
    out: given.BesideCircuit = None,
    json: given.AsJson = False,
) -> None:
    """Say how often repeated discoveries find each edge.

    Method, goal and setup are those it was found with. The circuit stays as it is; how often its edges were found again
    is added to circuit.json and to its pictures.
    """
    from acdc.cli.placing import placed
    from acdc.cli.progress import watching
    from acdc.discovery.rediscover import rediscover, request
    from acdc.judges.findings import Findings
    from acdc.report.table import stability as table

    check_place(on)
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    Findings.of(loaded, str(file))  # what cannot be shown in the end is told before the work
    if out is None and file.name != "circuit.json":
        raise BadSetting(f"{file} is not called circuit.json, as the result will be; say where it goes with --out")
    directory = out if out is not None else file.parent
    Destination(directory).check()
    obstacle = of_stability(loaded.to_json(), request(loaded, resamples, seeds), _CHECKPOINT, resume=resume)
    with (
        watching(quiet=False) as watch,
        placed(on, watch) as where,
        free_directory(directory, obstacle, named=resume or out is not None) as destination,
    ):
        watch.stage("loading the model")
        with interruptible(checkpoint := destination.directory / _CHECKPOINT):
            found = rediscover(
                loaded,
                resamples=resamples,
                seeds=seeds,
                device=device,
                anyway=anyway,
                tell=lambda words: watch.line(f"note: {words}"),
                watch=lambda progress: watch.piece(_words(progress), progress.done, progress.total),
                checkpoint=checkpoint,
                resume=resume,
                place=where,
            )
        watch.stage("drawing the circuit")
        findings = Findings.of(found.noted_in(loaded), str(file))
        written = destination.write(findings.circuit, findings.origin.title)
        checkpoint.unlink(missing_ok=True)
        page = run_page.refresh(destination.directory)
    if json:
        terminal.write_json(found.to_json())
    else:
        terminal.parts(table(findings, _SHOWN_EDGES))
        terminal.written((*written.files, *page))
    if written.left_out:
        terminal.note(written.left_out)
    if written.undrawn:
        raise written.undrawn


def _words(progress: Progress) -> str:
    return f"{progress.stage} · {progress.kept:,} edge{'s' if progress.kept != 1 else ''}"
