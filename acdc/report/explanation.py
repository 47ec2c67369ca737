"""What every node of a circuit does, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from acdc.explain.roles import AS_WELL
from acdc.explain.s_inhibition import MOVED_AWAY, MOVED_TOWARDS
from acdc.explain.summary import summary
from acdc.graphs.feature_names import Names, with_names
from acdc.graphs.nodes import Node
from acdc.report.columns import plain_table
from acdc.report.phrases import counted

if TYPE_CHECKING:
    from acdc.explain.explanation import Explanation

_EDGES, _PAIRS = 20, 10


def tables(found: Explanation, names: Names) -> Iterator[RenderableType]:
    """The nodes with their roles, then composition, interactions and variations, and the paragraph.

    `names` is what a user calls features.
    """
    if found.roles:
        yield _nodes(found)
    if lines := [f"{head.name}  {slots}" for head, slots in found.heads.slots.items() if slots.writes]:
        title = Text("Where ablating a head costs the behaviour, and the slots it looks at from there", style="bold")
        yield Group(title, Text("\n".join(lines)))
    if found.mlps:
        yield Text(
            "\n".join(
                f"{with_names(mlp.node.name, names)} promotes {', '.join(map(repr, mlp.promotes)) or 'nothing there'}"
                for mlp in found.mlps
            )
        )
    if found.composition:
        yield _composition(found, names)
    if pairs := [pair for pair in found.ablations.pairs if pair.structure != "additive"]:
        lines = [
            f"{pair.heads[0].name} + {pair.heads[1].name}  {pair.structure}: {pair.alone[0]:.0%} and "
            f"{pair.alone[1]:.0%} alone, {pair.both:.0%} together"
            for pair in sorted(pairs, key=lambda pair: -abs(pair.more.value))[:_PAIRS]
        ]
        yield Group(Text("Heads that work together", style="bold"), Text("\n".join(lines)))
    if found.variations:
        yield _variations(found)
    yield Text(summary(found))
    chosen, kept = found.heads.prompts
    yield Text(f"Roles were chosen on {chosen} prompts and had to hold on {kept} others.", style="dim")


def _nodes(found: Explanation) -> RenderableType:
    table = plain_table()
    for name in ("head", "role"):
        table.add_column(name, no_wrap=True)
    for name in ("percentile", "cost", "direct", "copying"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("evidence")
    direct = found.heads.measured.direct
    for head, role in found.roles.items():
        (name, value), *_ = role.evidence.items()
        alike = [f"{other} {number:.2f}" for other, number in role.evidence.items() if other.startswith(AS_WELL)]
        alike += [
            f"{moved} {role.evidence[moved]:+.2f}" for moved in (MOVED_AWAY, MOVED_TOWARDS) if moved in role.evidence
        ]
        table.add_row(
            head.name,
            role.role,
            "-" if role.percentile is None else f"{role.percentile:.0%}",
            f"{found.ablations.costs[head]:.0%}",
            f"{direct[head].part.value:+.0%}" if head in direct else "-",
            f"{found.heads.copying[head]:+.2f}",
            ", ".join([f"{name} {value:.2f}", *alike]),
        )
    return table


def _composition(found: Explanation, names: Names) -> RenderableType:
    table = plain_table()
    table.add_column("without this edge alone", no_wrap=True)
    table.add_column("attention moves", justify="right", no_wrap=True)
    table.add_column("direct effect lost", justify="right", no_wrap=True)
    table.add_column("where attention goes, by slot")
    strongest = sorted(found.composition, key=lambda one: -max(one.moved, abs(one.lost) / 100))[:_EDGES]
    for one in strongest:
        moves = sorted(one.slots.items(), key=lambda item: -abs(item[1]))[:3]
        where = ", ".join(f"{name} {change:+.2f}" for name, change in moves if abs(change) >= 0.01)
        table.add_row(Text(with_names(one.edge.name, names)), f"{one.moved:.0%}", f"{one.lost:+.2f}", where)
    return table


def _variations(found: Explanation) -> RenderableType:
    """Where labelled heads look on the task's variations, all positions alike: those that look elsewhere first."""
    table, usual = plain_table(), found.heads.measured.everywhere
    for title in ("head", "looks at", "usual"):
        table.add_column(title, no_wrap=title != "looks at", justify="right" if title == "usual" else "left")
    table.add_column("elsewhere on")
    table.add_column("about as usual on")
    heads = {head: found.heads.measured.role(head)[1] for one in found.variations for head in one.usual}
    rows = {head: _on_variations(found, head) for head in heads}
    for head in sorted(heads, key=lambda head: not rows[head][0]):
        elsewhere, alike = rows[head]
        span = f"{min(alike):.2f} to {max(alike):.2f} on {len(alike)}" if len(alike) > 1 else ""
        span = f"{alike[0]:.2f} on 1" if len(alike) == 1 else span
        table.add_row(
            head.name, heads[head], f"{usual.of(head, heads[head]):.2f}", ", ".join(elsewhere) or "-", span or "-"
        )
    patterns = counted(len(found.variations), "other pattern")
    return Group(Text(f"Where heads look on {patterns}: attention at all positions", style="bold"), table)


def _on_variations(found: Explanation, head: Node) -> tuple[list[str], list[float]]:
    """On which variations a head looks elsewhere, with how much it pays there; and what it pays on the others."""
    here = [one for one in found.variations if head in one.here]
    elsewhere = [f"{one.name} {one.here[head]:.2f}" for one in here if head in one.changed]
    return elsewhere, [one.here[head] for one in here if head not in one.changed]
