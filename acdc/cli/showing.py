"""A circuit that was just found or cut, as the terminal shows it: in full, in its essentials, or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from acdc.cli import terminal

if TYPE_CHECKING:
    from acdc.cli.destination import WrittenFiles
    from acdc.discovery.discover import Result
    from acdc.judges.findings import Findings

SHOWN_EDGES = 10


def show_result(
    result: Result, findings: Findings, written: WrittenFiles, *, quiet: bool, json: bool, robust: str = ""
) -> None:
    """Show what was found and what is doubtful about it; `robust` is what the attacks on it came to.

    Raises: RenderError when it could not be drawn.
    """
    from acdc.judges.findings import doubts, other_form, warnings

    if json:
        terminal.write_json(result.circuit.to_json())
    elif quiet:
        _show_essentials(findings, written.files[0])
    else:
        _show(findings, written.files)
    if robust and not json:
        terminal.results().print(robust, soft_wrap=True)
    caveats = (*warnings(result.faithfulness, findings.origin.metric), *doubts(findings.origin.algorithm))
    for warning in (*caveats, *other_form(findings.outcome.answer_form)):
        terminal.warn(warning)
    if written.left_out and not quiet:
        terminal.note(written.left_out)
    if written.undrawn:
        raise written.undrawn


def _show(findings: Findings, files: tuple[Path, ...]) -> None:
    from acdc.report.table import summary

    terminal.parts(summary(findings, SHOWN_EDGES, every_edge=False))
    again = terminal.quoted(files[0].parent)
    terminal.written(files, f"\nNext: acdc show {again} --top 50\n      acdc evaluate {again} --prompts 256")


def _show_essentials(findings: Findings, file: Path) -> None:
    from acdc.report.phrases import essence

    out = terminal.results()
    out.print(essence(findings), soft_wrap=True)
    out.print(str(file), soft_wrap=True)
