"""The verdict over everything that is asked of a circuit, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from acdc.graphs.ablation import Ablation
from acdc.report.columns import plain_table

if TYPE_CHECKING:
    from acdc.judges.assessment import Section, Verdict
    from acdc.judges.sensitivity import Sensitivity

_STYLES: dict[Verdict, str] = {"holds": "green", "conditional": "yellow", "fails": "bold red", "not measured": "dim"}


def tables(sections: Sequence[Section], verdict: Verdict) -> Iterator[RenderableType]:
    """What is kept under every ablation and metric, then every question with its verdict, then the verdict over all."""
    for section in sections:
        if section.sensitivity:
            yield grid(section.sensitivity)
    table = plain_table()
    table.add_column("question", style="bold", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what it rests on")
    for section in sections:
        table.add_row(section.question, Text(section.verdict, style=_STYLES[section.verdict]), section.finding)
    yield table
    yield _overall(sections, verdict)


def grid(measured: Sensitivity) -> RenderableType:
    """What a circuit keeps, a line for each metric and a column for each ablation."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    for ablation in measured.kept:
        table.add_column(ablation, justify="right", no_wrap=True)
    for metric in next(iter(measured.kept.values())):
        parts = [kept[metric] for kept in measured.kept.values()]
        table.add_row(metric.replace("_", " "), *("-" if part is None else f"{part:.1%}" for part in parts))
    parts = [part for kept in measured.kept.values() for part in kept.values()]
    none = "\n-: not measurable, ablating the whole model does not hurt" if None in parts else ""
    learned = [kind.value for kind in Ablation if kind.is_learned and kind.value not in measured.kept]
    if learned:
        none += f"\n{' and '.join(learned)} ablation: not measured, its constants are learned with --ablation optimal"
    legend = [Text(none.strip(), style="dim")] if none else []
    return Group(Text("What it keeps, by metric and ablation", style="bold"), table, *legend)


def _overall(sections: Sequence[Section], verdict: Verdict) -> Text:
    asked = [section.question for section in sections if section.verdict == verdict]
    on = "" if verdict in ("holds", "not measured") else f" ({', '.join(asked)})"
    return Text.assemble(("verdict: ", "bold"), (verdict, _STYLES[verdict]), on)
