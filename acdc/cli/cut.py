"""`acdc cut`: a circuit of another size, from a run that is done."""

from __future__ import annotations

import typer

from acdc.cli import options as given
from acdc.cli import terminal
from acdc.cli.destination import Destination
from acdc.cli.exits import Exit
from acdc.cli.options import circuit_file
from acdc.cli.run_directory import free_directory, of_cut
from acdc.cli.showing import show_result
from acdc.drain import drain
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.settings import Edges, KeptFaithfulness


def cut(
    circuit: given.CircuitPath,
    edges: given.CutEdges = None,
    faithfulness: given.CutFaithful = None,
    device: given.Device = "cpu",
    anyway: given.Anyway = False,
    out: given.CutOut = None,
    quiet: given.Quiet = False,
    json: given.AsJson = False,
) -> None:
    """Take a circuit of another size from a run that is done, in seconds.

    Edges join in the order that the run's search gave them, and the circuit is measured and judged anew, on the same
    prompts.
    """
    from acdc.cli.progress import watching
    from acdc.discovery import joining_file
    from acdc.discovery.resizing import Resizing
    from acdc.judges.evaluation import subject
    from acdc.judges.findings import Findings
    from acdc.problems import problems
    from acdc.provenance import Provenance

    if (edges is None) == (faithfulness is None):
        raise BadSetting("a cut is by size or by what it keeps: give one of --edges N and --faithfulness F")
    goal = Edges(edges) if edges is not None else KeptFaithfulness(faithfulness or 0.0)
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    setup = Provenance.of(loaded, str(file)).setup().on(device)
    joining = joining_file.read(file.with_name(joining_file.NAME), loaded.graph)
    size = f"{edges}-edges" if edges is not None else f"{faithfulness:g}"
    directory = out or file.absolute().parent.with_name(f"{file.absolute().parent.name}-{size}")
    Destination(directory).check()
    with watching(quiet=quiet) as watch, free_directory(directory, of_cut, named=out is not None) as destination:
        watch.stage("loading the model")
        task, model = subject(loaded, setup=setup, anyway=anyway, tell=terminal.note)
        discovery, judgement = problems(task, model, setup)
        result = drain(Resizing(goal).walk(loaded, joining, discovery, judgement, setup.seed), watch.pruning)
        findings = Findings.of(result.circuit)
        if not result.circuit.edges:
            terminal.fail(
                "the circuit of that size has 0 edges left when those that lead nowhere are gone; ask for more"
            )
            raise typer.Exit(Exit.FAILED_CHECK)
        watch.stage("drawing the circuit")
        written = destination.write(result.circuit, findings.origin.title, result.joining)
    show_result(result, findings, written, quiet=quiet, json=json)
