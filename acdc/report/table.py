"""Tables of a circuit: pure functions from values to what a terminal shows. Nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.feature_names import names_in, with_names
from acdc.graphs.nodes import INPUT, LOGITS, Node
from acdc.judges.completeness import Completeness
from acdc.judges.faithfulness import Faithfulness, Levels
from acdc.judges.findings import Findings, how_chosen, reading
from acdc.progress import CurvePoint
from acdc.provenance import MetricOrigin, Provenance
from acdc.report.columns import aligned, fact_table, plain_table
from acdc.report.phrases import counted, features, keeps, method, misses, only_correct, repeated, size

if TYPE_CHECKING:
    from acdc.correctness import Right
    from acdc.settings import Setup


def summary(findings: Findings, top: int, *, every_edge: bool = True) -> Iterator[RenderableType]:
    """A circuit's whole story, part by part: what it is, how faithful, how it was found, its `top` strongest edges.

    Of a circuit of whole nodes these are listed, and its edges only where they are wanted (`every_edge`).
    """
    origin, outcome = findings.origin, findings.outcome
    yield headline(origin)
    yield facts(findings)
    if outcome.faithfulness:
        yield levels(outcome.faithfulness, origin.metric)
    if len(outcome.curve) > 1:
        yield curve(outcome.curve, origin.algorithm.threshold if origin.algorithm else None, len(findings.circuit))
    if whole := of_whole_nodes(findings):
        yield nodes(findings.circuit, top)
    if findings.circuit.edges and (every_edge or not whole):
        yield edges(findings.circuit, top, origin.algorithm.score if origin.algorithm else "")
    if outcome.stability and outcome.stability.found_often_outside:
        yield outsiders(outcome.stability.found_often_outside)
    yield from (
        Text(f"Note: {note}") for note in (*how_chosen(origin.algorithm), *outcome.notes, *reading(findings.circuit))
    )


def headline(origin: Provenance) -> Text:
    """Behaviour and model in one line, and what the behaviour is in another."""
    text = Text(origin.title, style="bold")
    if origin.task and origin.task.about:
        text.append(f"\n{origin.task.about}", style="not bold")
    return text


def facts(findings: Findings) -> Table:
    """Size, faithfulness and settings, one line each."""
    origin, judged = findings.origin, findings.outcome.faithfulness
    rows = {
        "circuit": size(findings.circuit),
        "faithfulness": keeps(judged, origin.metric) if judged else "not measured; `acdc evaluate` does that",
    }
    if origin.prompts and origin.prompts.discovery and origin.prompts.judgement:
        seen, new = origin.prompts.discovery, origin.prompts.judgement
        drawn = f"drawn with seed {origin.prompts.seed}{only_correct(origin.prompts.only_correct)}"
        rows["prompts"] = f"{seen.count:,} to find it and {new.count:,} others to judge it, {drawn}"
        if seen.right is not None and new.right is not None:
            rows["model right"] = (
                f"on {seen.right:,} of {seen.count:,} and on {new.right:,} of the {new.count:,} others"
            )
    return fact_table({**rows, "method": method(origin), **features(origin), **repeated(findings.outcome.stability)})


def verdict(
    findings: Findings,
    judged: Faithfulness,
    complete: Completeness | None,
    setup: Setup,
    metric: MetricOrigin | None,
    right: Right,
) -> Table:
    """A faithfulness just measured, beside the one that the circuit was found with; on how many the model is right."""
    before, ablation = findings.outcome.faithfulness, Ablation(setup.ablation).value
    return fact_table(
        {
            "circuit": size(findings.circuit),
            "faithfulness": keeps(judged, metric),
            "completeness": misses(complete) if complete else "not measured: there are no edges",
            "when found": keeps(before, findings.origin.metric) if before else "not measured",
            "prompts": f"{setup.prompts:,} at most, drawn with seed {setup.seed}{only_correct(setup.only_correct)}",
            "model right": f"on {right.right:,} of {right.of:,} prompts",
            "method": f"{ablation} ablation, {setup.compute.dtype}",
        }
    )


def stability(findings: Findings, top: int) -> Iterator[RenderableType]:
    """What repeated discoveries say of a circuit, and how often they found each of its `top` strongest edges."""
    circuit, outcome = findings.circuit, findings.outcome
    yield headline(findings.origin)
    often = circuit.frequencies.values()
    always, half = (sum(one >= part for one in often) for part in (1, 0.5))
    never = sum(one == 0 for one in often)
    found = f"{always:,} found always, {half:,} at least half of the time, {never:,} never"
    yield fact_table({"circuit": size(circuit), **repeated(outcome.stability), "edges": found})
    if circuit.edges:
        yield edges(circuit, top, findings.origin.algorithm.score if findings.origin.algorithm else "")
    if outcome.stability and outcome.stability.found_often_outside:
        yield outsiders(outcome.stability.found_often_outside)


def levels(judged: Faithfulness, metric: MetricOrigin | None) -> Table:
    """The metric, KL and accuracy of the full model, the circuit, and the model with every edge ablated."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    for name in ("full model", "circuit", "ablated"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", style="dim")
    if metric is None or metric.name not in ("kl", "accuracy"):
        lower = "lower is better" if metric and "; lower: " in metric.meaning else ""
        table.add_row(metric.words if metric else "metric", *aligned(_of(judged.metric)), lower)
    worst = f"nats; worst prompt {judged.kl_tail.max:.2f}"
    table.add_row("KL from the full model", *aligned(_of(judged.kl)), worst)
    table.add_row("accuracy", *(f"{value:.1%}" for value in _of(judged.accuracy)), "")
    return table


def curve(points: Sequence[CurvePoint], chosen: float | None, chosen_size: int) -> RenderableType:
    """Every circuit that the pruning runs met: threshold, size and what it keeps on the discovery prompts.

    KL and accuracy have columns where they are known. Scores may be equal, so the chosen one is told by its size too.
    Runs in a row that met the same circuit are one line, and empty circuits none.
    """
    table = plain_table()
    mixed = len({point.tested > 0 for point in points}) > 1
    more = {"KL": "kl", "accuracy": "accuracy"}
    more = {title: name for title, name in more.items() if all(getattr(p, name) is not None for p in points)}
    for title in ("threshold", "edges", "faithfulness", *more):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for (count, kept), group in groupby(points, key=lambda point: (point.edges, point.faithfulness)):
        alike = list(group)
        thresholds = [point.threshold for point in alike]
        here = chosen in thresholds and count == chosen_size
        if count or here:
            cells = [f"{chosen if here else thresholds[0]:.3g}", f"{count:,}", f"{kept:.1%}"]
            cells += [f"{getattr(alike[0], name):.{'3g' if name == 'kl' else '1%'}}" for name in more.values()]
            scored = "highest scores" if mixed and not alike[0].tested else ""
            table.add_row(*cells, "<- chosen" if here else scored, style="bold" if here else None)
    return Group(Text("How small, how faithful: every circuit met, on the prompts to find it", style="bold"), table)


def of_whole_nodes(findings: Findings) -> bool:
    """Whether the circuit has all edges between its nodes and each score is that of a node."""
    algorithm, circuit = findings.origin.algorithm, findings.circuit
    if algorithm is None or algorithm.score_kind != "node":
        return False
    met = set(circuit.nodes())
    return all(edge in circuit for edge in circuit.graph.edges() if {edge.sender, edge.receiver} <= met)


def nodes(circuit: Circuit, top: int) -> RenderableType:
    """The `top` heads and MLPs (0: all) of a circuit of whole nodes, by what removing each cost.

    The edges between a node and the input or the logits, which are never removed, have that for a score.
    """
    costs: dict[Node, float] = {}
    for edge, score in circuit.scores.items():
        for node in {edge.sender, edge.receiver} - {INPUT, LOGITS}:
            costs[node] = max(score, costs.get(node, score))
    ordered = sorted((node for node in circuit.nodes() if node in costs), key=lambda node: -costs[node])
    shown = ordered[:top] if top else ordered
    table = plain_table()
    table.add_column("node", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    names = names_in(circuit.provenance)
    for node, cell in zip(shown, aligned([costs[node] for node in shown], signed=True), strict=True):
        table.add_row(Text(with_names(node.name, names)), cell)
    what = "Its" if len(shown) == len(ordered) else f"The {len(shown):,} strongest of its"
    title = f"{what} {counted(len(ordered), 'node')} besides input and logits, with all edges between them"
    meaning = "score: how much worse the metric gets when the node is removed, in its units"
    return Group(Text(title, style="bold"), table, Text(meaning, style="dim"))


def edges(circuit: Circuit, top: int, meaning: str) -> RenderableType:
    """The `top` edges (0: all) by |score|, those without a score last; `meaning` is the score's."""
    ordered = circuit.strongest_first()
    shown = ordered[:top] if top else ordered
    table = plain_table()
    table.add_column("edge", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    if circuit.frequencies:
        table.add_column("found again", justify="right", no_wrap=True)
    scores, names = [circuit.scores.get(edge) for edge in shown], names_in(circuit.provenance)
    for edge, cell in zip(shown, aligned(scores, signed=True), strict=True):
        often = circuit.frequencies.get(edge)
        named = Text(with_names(edge.name, names))  # in which brackets mean nothing
        table.add_row(named, cell, *([] if not circuit.frequencies else ["-" if often is None else f"{often:.0%}"]))
    what = "Its" if len(shown) == len(ordered) else f"The {len(shown):,} strongest of its"
    parts: list[RenderableType] = [Text(f"{what} {counted(len(ordered), 'edge')}", style="bold"), table]
    if meaning and any(score is not None for score in scores):
        parts.append(Text(f"score: {meaning}", style="dim"))
    return Group(*parts)


def outsiders(often: Mapping[str, float]) -> RenderableType:
    """Edges that are not in the circuit but were found often when it was discovered again."""
    table = plain_table(header=False)
    for name, part in often.items():
        table.add_row(name, f"{part:.0%}")
    return Group(Text("Found again at least half of the time, but not in the circuit", style="bold"), table)


def _of(values: Levels) -> tuple[float, float, float]:
    return values.full, values.circuit, values.none
