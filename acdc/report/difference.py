"""What is different between two circuits, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from acdc.graphs.ablation import Ablation
from acdc.graphs.feature_names import Names, names_in, with_names
from acdc.judges.faithfulness import Faithfulness
from acdc.judges.findings import Findings
from acdc.provenance import MetricOrigin
from acdc.report.columns import plain_table
from acdc.report.phrases import size

if TYPE_CHECKING:
    from acdc.graphs.nodes import Edge
    from acdc.judges.comparison import Difference


def tables(found: Difference, a: Findings, b: Findings, top: int) -> Iterator[RenderableType]:
    """Which circuits they are, how faithful each is, and the `top` (0: all) edges lost, gained and in both."""
    yield _header(found, a, b)
    if found.measured:
        yield _faithfulness(found)
    if found.unmeasured:
        yield Text(f"Note: {found.unmeasured}")
    names = {**names_in(found.a.provenance), **names_in(found.b.provenance)}
    if found.lost:
        lost = [(found.a.scores.get(edge),) for edge in found.lost]
        yield _edges("lost: only in A", found.lost, ("score in A",), lost, top, names)
    if found.gained:
        gained = [(found.b.scores.get(edge),) for edge in found.gained]
        yield _edges("gained: only in B", found.gained, ("score in B",), gained, top, names)
    if found.kept:
        cells = [(found.a.scores.get(edge), found.b.scores.get(edge), found.change(edge)) for edge in found.kept]
        yield _edges("in both", found.kept, ("score in A", "score in B", "change"), cells, top, names)
        if not found.same_scores:
            yield Text("Note: their scores mean different things, by metric or method, so they are not subtracted.")


def _header(found: Difference, a: Findings, b: Findings) -> Table:
    table = plain_table(header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, findings in (("circuit A", a), ("circuit B", b)):
        table.add_row(name, f"{findings.origin.title}: {size(findings.circuit)}")
    counts = (
        f"{len(found.kept):,} in both, {len(found.lost):,} lost (only in A), {len(found.gained):,} gained (only in B)"
    )
    table.add_row("edges", f"{counts}; Jaccard {found.jaccard:.2f}")
    return table


def _faithfulness(found: Difference) -> RenderableType:
    table = plain_table()
    for title in ("prompts", "metric, ablation"):
        table.add_column(title)
    for name in ("circuit A keeps", "circuit B keeps"):
        table.add_column(name, justify="right")
    for one in found.measured:
        how = f"{MetricOrigin(name=one.setup.metric or '').words}, {Ablation(one.setup.ablation).value}"
        table.add_row(f"{_owner(one.prompts)} ({one.task})", how, _kept(one.a), _kept(one.b))
    return Group(Text("How faithful, on judgement prompts (95% CI)", style="bold"), table)


def _owner(whose: str) -> str:
    return "of both" if whose == "A and B" else f"of {whose}"


def _kept(judged: Faithfulness) -> str:
    kept = judged.normalised
    return f"{kept.value:.1%}\n{kept.low:.1%} to {kept.high:.1%}"


def _edges(
    title: str,
    edges: Sequence[Edge],
    columns: Sequence[str],
    cells: Sequence[Sequence[float | None]],
    top: int,
    names: Names,
) -> RenderableType:
    shown = list(zip(edges, cells, strict=True))[: top or None]
    table = plain_table()
    table.add_column("edge", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for edge, row in shown:
        table.add_row(
            Text(with_names(edge.name, names)), *("-" if value is None else f"{value:+,.2f}" for value in row)
        )
    of = "" if len(shown) == len(edges) else f"first {len(shown):,} of "
    count = f"{len(edges):,} edge{'s' * (len(edges) != 1)}"
    return Group(Text(f"{of}{count} {title}".capitalize(), style="bold"), table)
