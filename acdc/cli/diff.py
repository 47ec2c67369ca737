"""`acdc diff`: what is different between two circuits?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from acdc.cli import named_file, terminal
from acdc.cli.options import Anyway, AsJson, Device, argument, circuit_file, option
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.report.exports import DRAWN, form_of, losses

_LISTED = 20


def diff(
    a: Annotated[Path, argument("A", is_="A circuit.json, or the directory that holds one: before.")],
    b: Annotated[Path, argument("B", is_="Another of the same model: after.")],
    model: Annotated[
        str | None, option("--model", "-m", takes="NAME", is_="The model to measure both on [the circuits']")
    ] = None,
    device: Device = "cpu",
    anyway: Anyway = False,
    top: Annotated[int | None, option("--top", takes="N", is_="Edges to list of each kind; 0: all [20]")] = None,
    render: Annotated[
        Path | None, option("--render", takes="FILE", is_="Draw both into one .svg, .png, .pdf or .dot file")
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare two circuits: edges, scores, faithfulness.

    Each is measured on the judgement prompts of both, by metric and ablation of whoever's prompts they are.
    """
    from acdc.cli.progress import watching
    from acdc.graphs.drawing.render import render_difference
    from acdc.judges.comparison import compare
    from acdc.judges.findings import Findings
    from acdc.report.difference import tables

    if top is not None and top < 0:
        raise BadSetting(f"--top is {top}; wanted a number of edges, or 0 for all of them")
    if json and top is not None:
        raise BadSetting("--top says how many edges to list, and --json lists all of them; give one of both")
    if render is not None:
        named_file.check(render, DRAWN)
    files = circuit_file(a), circuit_file(b)
    first, second = (Circuit.load(file) for file in files)
    before, after = Findings.of(first, str(files[0])), Findings.of(second, str(files[1]))
    with watching(quiet=False) as watch:
        watch.stage("loading the model")
        found = compare(
            first, second, model=model, device=device, anyway=anyway, tell=lambda words: watch.line(f"note: {words}")
        )
        if render is not None:
            watch.stage("drawing both circuits")
            with named_file.writing(render):
                render_difference(first, second, render, names=(f"A: {a}", f"B: {b}"), title=after.origin.title)
    if json:
        terminal.write_json({"a": str(files[0]), "b": str(files[1]), **found.to_json()})
        return
    terminal.parts(tables(found, before, after, _LISTED if top is None else top))
    if render is not None:
        terminal.results().print(f"\nWritten: {render}", soft_wrap=True)
        for loss in losses(render, form_of(render, None)):
            terminal.note(loss)
