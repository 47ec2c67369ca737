"""`acdc explain`: what does every node of a circuit do, and on what evidence?"""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated

from acdc.cli import options as given
from acdc.cli import run_page, terminal
from acdc.cli.destination import Destination
from acdc.cli.options import circuit_file, option
from acdc.cli.run_directory import EXPLANATION, free_directory, of_explanation
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.feature_names import names_in
from acdc.graphs.files import write_atomically
from acdc.hashes import edges_hash

if TYPE_CHECKING:
    from pathlib import Path

    from acdc.explain.explanation import Explanation


def explain(
    circuit: given.CircuitPath,
    task: given.ItsTask = None,
    model: given.ItsModel = None,
    device: given.Device = "cpu",
    variations: Annotated[
        int, option("--variations", takes="N", is_="Prompts of each of the task's variations; 0: none [16]")
    ] = 16,
    prompts: Annotated[
        int | None, option("--prompts", takes="N", is_="Prompts of each half [the circuit's; if large: 8, 16]")
    ] = None,
    out: given.BesideCircuit = None,
    anyway: given.Anyway = False,
    json: given.AsJson = False,
) -> None:
    """Say what each node of a circuit does: roles, with the evidence.

    Roles are chosen on the prompts that the circuit was found on, and must hold on
    those that judge it. They go into circuit.json and its pictures, all the rest
    into explain.json.
    """
    from acdc.cli.progress import watching
    from acdc.explain.explanation import explain as explained
    from acdc.explain.labelling import explained_on
    from acdc.judges.evaluation import subject
    from acdc.judges.findings import Findings
    from acdc.problems import problems
    from acdc.provenance import Provenance
    from acdc.report.explanation import tables

    if variations < 0 or variations == 1:
        raise BadSetting(f"--variations is {variations}; wanted at least 2 prompts of each, or 0 for none")
    if prompts is not None and prompts < 1:
        raise BadSetting(f"--prompts is {prompts}; wanted at least 1 of each half")
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    title = Findings.of(loaded, str(file)).origin.title
    if out is None and file.name != "circuit.json":
        raise BadSetting(f"{file} is not called circuit.json, as the result will be; say where it goes with --out")
    directory = out if out is not None else file.parent
    Destination(directory).check()
    setup = Provenance.of(loaded).setup().on(device, None)
    with (
        watching(quiet=False) as watch,
        free_directory(directory, of_explanation(loaded.to_json(), edges_hash(loaded)), named=True) as destination,
    ):
        watch.stage("loading the model")
        asked, at = subject(loaded, task=task, model=model, setup=setup, anyway=anyway, tell=terminal.note)
        choosing, keeping = explained_on(*problems(asked, at, setup), prompts)
        watch.stage("measuring every head of the model")
        found = explained(loaded, choosing, keeping, asked, prompts=variations, seed=setup.seed, watch=watch.pruning)
        watch.stage("drawing the circuit")
        written = destination.write(found.noted_in(loaded), title)
        path = destination.directory / EXPLANATION
        _write(path, found, loaded)
        page = run_page.refresh(destination.directory)
    if json:
        terminal.write_json(_data(found, loaded))
    else:
        terminal.parts(tables(found, names_in(loaded.provenance)))
        terminal.written((*written.files, path, *page))
    if written.left_out:
        terminal.note(written.left_out)
    if written.undrawn:
        raise written.undrawn


def _data(found: Explanation, circuit: Circuit) -> dict[str, object]:
    from acdc.explain.summary import summary

    return {"circuit": edges_hash(circuit), "summary": summary(found), **found.to_json()}


def _write(path: Path, found: Explanation, circuit: Circuit) -> None:
    text = json_format.dumps(_data(found, circuit), indent=1, allow_nan=False) + "\n"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise Destination(path.parent).unwritable(error) from error
