"""`acdc show`: what is in a circuit file, as a table or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from acdc.cli import named_file, terminal
from acdc.cli.options import AsJson, CircuitPath, circuit_file, option
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.report.exports import DRAWN, FORMS, ExportSubject, form_of, losses

_LISTED = 20
_FORMS = (*DRAWN, FORMS["graphml"].ending)
_MIB = {FORMS[name].ending: name for name in ("mib", "mib-matrix")}


def show(
    circuit: CircuitPath,
    top: Annotated[
        int | None, option("--top", takes="N", is_="Edges to list and draw, strongest first; 0: all [list 20]")
    ] = None,
    render: Annotated[
        Path | None, option("--render", takes="FILE", is_="Write a .svg, .png, .pdf, .dot or .graphml file")
    ] = None,
    mib: Annotated[
        Path | None, option("--mib", takes="FILE", is_="Write MIB's form: .json, or .safetensors for the matrix")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show a circuit: its faithfulness and strongest edges. Files in MIB's forms can be read too."""
    from acdc.judges.findings import Findings, doubts, other_form, warnings
    from acdc.report.table import summary

    if top is not None and top < 0:
        raise BadSetting(f"--top is {top}; wanted a number of edges, or 0 for all of them")
    if json and top is not None and render is None:
        raise BadSetting("--top says how many edges to list or draw, and --json lists all of them; give one of both")
    for written, endings in ((render, _FORMS), (mib, tuple(_MIB))):
        if written is not None:
            named_file.check(written, endings)
    if render is not None and top and render.suffix.lower() not in DRAWN:
        raise BadSetting(f"--top is for pictures, and {render} is none; `acdc cut` makes a smaller circuit")
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    findings = Findings.of(loaded, str(file))
    if render is not None:
        drawn = loaded.strongest(top) if top else loaded
        part = f": the {len(drawn):,} strongest of its {len(loaded):,} edges" if len(drawn) < len(loaded) else ""
        _write(drawn, render, form_of(render, None), f"{findings.origin.title}{part}")
    if mib is not None:
        _write(loaded, mib, _MIB[mib.suffix.lower()], findings.origin.title)
    if json:
        terminal.write_json(loaded.to_json())
        return
    terminal.parts(summary(findings, _LISTED if top is None else top, every_edge=top is not None))
    if named := [str(path) for path in (render, mib) if path is not None]:
        terminal.results().print(f"\nWritten: {', '.join(named)}", soft_wrap=True)
    if judged := findings.outcome.faithfulness:
        for warning in (*warnings(judged, findings.origin.metric), *other_form(findings.outcome.answer_form)):
            terminal.warn(warning)
    for doubt in doubts(findings.origin.algorithm):
        terminal.warn(doubt)


def _write(circuit: Circuit, file: Path, form: str, title: str) -> None:
    """Write the circuit in this form, whole or not at all, and say what is lost.

    Raises: UnwritableOutput; RenderError when no picture can be drawn.
    """
    with named_file.writing(file):
        FORMS[form].write(ExportSubject(circuit, title), file)
    for loss in losses(file, form):
        terminal.note(loss)
