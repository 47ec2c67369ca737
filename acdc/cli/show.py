"""`acdc show`: what is in a circuit file, as a table or as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from acdc.cli import terminal
from acdc.cli.options import AsJson, CircuitPath, circuit_file, option
from acdc.errors import BadSetting, UnwritableOutput

if TYPE_CHECKING:
    from graphs.circuit import Circuit

_FORMS = (".svg", ".png", ".pdf", ".dot", ".graphml")
_MIB_FORMS = (".json", ".safetensors")


def show(
    circuit: CircuitPath,
    top: Annotated[int, option("--top", takes="N", is_="Edges to list, strongest first; 0: all [20]")] = 20,
    render: Annotated[
        Path | None, option("--render", takes="FILE", is_="Write a .svg, .png, .pdf, .dot or .graphml file")
    ] = None,
    mib: Annotated[
        Path | None, option("--mib", takes="FILE", is_="Write MIB's form: .json, or .safetensors for the matrix")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show a circuit: its faithfulness and strongest edges. Files in MIB's forms can be read too."""
    from acdc.report.findings import Findings, warnings
    from acdc.report.table import account
    from graphs.circuit import Circuit

    if top < 0:
        raise BadSetting(f"--top is {top}; wanted a number of edges, or 0 for all of them")
    if render is not None and render.suffix.lower() not in _FORMS:
        raise BadSetting(
            f"a circuit cannot be written to {render}: got the ending {render.suffix!r}, wanted one of "
            f"{', '.join(_FORMS)}; rename the file"
        )
    if mib is not None and mib.suffix not in _MIB_FORMS:
        raise BadSetting(
            f"MIB's forms cannot be written to {mib}: got the ending {mib.suffix!r}, wanted one of "
            f"{', '.join(_MIB_FORMS)}; rename the file"
        )
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    findings = Findings.of(loaded, str(file))
    if render is not None:
        _export(loaded, render, findings.origin.title)
    if mib is not None:
        _export_mib(loaded, mib)
    if json:
        terminal.write_json(loaded.to_json())
        return
    terminal.parts(account(findings, top))
    if written := [str(path) for path in (render, mib) if path is not None]:
        terminal.results().print(f"\nWritten: {', '.join(written)}", soft_wrap=True)
    if judged := findings.outcome.faithfulness:
        for warning in warnings(judged, findings.origin.metric):
            terminal.warn(warning)


def _export(circuit: Circuit, file: Path, title: str) -> None:
    """Write the circuit in the form that the file's ending names, whole or not at all.

    Raises: UnwritableOutput; RenderError when no picture can be drawn.
    """
    from graphs.circuit import write_atomically
    from graphs.render import render

    with writable(file):
        if file.suffix.lower() != ".graphml":
            render(circuit, file, title=title)
        else:
            write_atomically(file, circuit.to_graphml().encode())


def _export_mib(circuit: Circuit, file: Path) -> None:
    """Write the circuit in the form of MIB that the file's ending names.

    Raises: UnwritableOutput.
    """
    from graphs.mib import save

    with writable(file):
        save(circuit, file)


@contextmanager
def writable(file: Path) -> Iterator[None]:
    """Refuse a file that cannot be written.

    Raises: UnwritableOutput.
    """
    if not file.absolute().parent.is_dir() or file.is_dir():
        what = "it is a directory" if file.is_dir() else f"there is no directory {file.absolute().parent}"
        raise UnwritableOutput(f"{file} cannot be written: {what}; name a file in a directory that is there")
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(
            f"{file} cannot be written: {error.strerror}; name a file in a directory that you can write to"
        ) from error
