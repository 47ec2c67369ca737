"""Tables for people: pure functions from values to what a terminal shows. Nothing here prints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.judges.completeness import Completeness
from acdc.judges.faithfulness import Faithfulness, Levels
from acdc.judges.findings import Findings, Repeated, reading
from acdc.judges.stability import Agreement
from acdc.methods import PRUNING
from acdc.progress import CurvePoint
from acdc.provenance import MetricOrigin, Provenance

if TYPE_CHECKING:
    from acdc.correctness import Right
    from acdc.discovery.forecast import Forecast
    from acdc.models import Shipped
    from acdc.pretrained.registry import Pretrained
    from acdc.settings import Setup
    from acdc.tasks.task import Task


def account(findings: Findings, top: int) -> Iterator[RenderableType]:
    """A circuit's whole story, part by part: what it is, how faithful, how it was found, its `top` strongest edges."""
    origin, outcome = findings.origin, findings.outcome
    yield headline(origin)
    yield facts(findings)
    if outcome.faithfulness:
        yield levels(outcome.faithfulness, origin.metric)
    if len(outcome.curve) > 1:
        yield curve(outcome.curve, origin.algorithm.threshold if origin.algorithm else None, len(findings.circuit))
    if findings.circuit.edges:
        yield edges(findings.circuit, top, origin.algorithm.score if origin.algorithm else "")
    if outcome.stability and outcome.stability.found_often_outside:
        yield outsiders(outcome.stability.found_often_outside)
    yield from (Text(f"Note: {note}") for note in (*outcome.notes, *reading(findings.circuit)))


def price(cost: Forecast, method: str) -> Table:
    """What a discovery would cost, one line each."""
    pruning = method in PRUNING
    passes = f"at most {cost.passes:,} removals tried in a run" if pruning else f"{cost.passes:,} pieces of work"
    slow = f", {cost.slowest:,.0f} s where more of the model is reached" if cost.slowest > 1.5 * cost.seconds else ""
    return _pairs(
        {
            "graph": f"{cost.edges:,} edges into {cost.receivers:,} receivers",
            "passes": passes,
            "memory": f"about {cost.bytes / 1e6:,.0f} MB above the loaded model",
            "time": f"about {cost.seconds:,.1f} s{' a run' if pruning else ''}{slow}; then it is judged and drawn",
            "runs": "one for --threshold; for other goals about ten" if pruning else "one",
        }
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
        drawn = f"drawn with seed {origin.prompts.seed}{_only_correct(origin.prompts.only_correct)}"
        rows["prompts"] = f"{seen.count:,} to find it and {new.count:,} others to judge it, {drawn}"
        if seen.right is not None and new.right is not None:
            rows["model right"] = (
                f"on {seen.right:,} of {seen.count:,} and on {new.right:,} of the {new.count:,} others"
            )
    return _pairs({**rows, "method": _method(origin), **repeated(findings.outcome.stability)})


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
    return _pairs(
        {
            "circuit": size(findings.circuit),
            "faithfulness": keeps(judged, metric),
            "completeness": misses(complete) if complete else "not measured: there are no edges",
            "when found": keeps(before, findings.origin.metric) if before else "not measured",
            "prompts": f"{setup.prompts:,} at most, drawn with seed {setup.seed}{_only_correct(setup.only_correct)}",
            "model right": f"on {right.right:,} of {right.of:,} prompts",
            "method": f"{ablation} ablation, {setup.dtype}",
        }
    )


def _only_correct(left_out: bool) -> str:
    return ", those left out that the model gets wrong" if left_out else ""


def repeated(stability: Repeated | None) -> dict[str, str]:
    """How alike repeated discoveries were, a line for those on resampled prompts and one for those on other seeds."""
    told = {"on resamples": stability.resamples, "on seeds": stability.seeds} if stability else {}
    return {name: agreement(one) for name, one in told.items() if one}


def agreement(one: Agreement) -> str:
    """How alike the circuits of repeated discoveries are, in words."""
    sizes = f"{one.fewest:,} to {one.most:,} edges" if one.fewest < one.most else _count(one.most, "edge")
    alike = [] if one.jaccard is None else [f"Jaccard {one.jaccard:.2f} with each other"]
    alike += [f"{'' if alike else 'Jaccard '}{one.with_circuit:.2f} with this circuit"]
    alike += [] if one.spearman is None else [f"scores' Spearman {one.spearman:.2f}"]
    return f"found {_count(one.runs, 'time')} again, {sizes}: {', '.join(alike)}"


def essence(findings: Findings) -> str:
    """A circuit in one line."""
    judged = findings.outcome.faithfulness
    kept = f"; {keeps(judged, findings.origin.metric)}; {right(judged)}" if judged else ""
    return f"{findings.origin.title}: {size(findings.circuit)}{kept}"


def size(circuit: Circuit) -> str:
    """How large a circuit is, in words."""
    edges, of = len(circuit), circuit.graph.n_edges
    nodes, heads = _count(len(circuit.nodes()), "node"), _count(len(circuit.heads()), "head")
    return f"{edges:,} of {of:,} edges ({_share(edges / of)}), {nodes}, {heads}"


def stability(findings: Findings, top: int) -> Iterator[RenderableType]:
    """What repeated discoveries say of a circuit, and how often they found each of its `top` strongest edges."""
    circuit, outcome = findings.circuit, findings.outcome
    yield headline(findings.origin)
    often = circuit.frequencies.values()
    always, half = (sum(one >= part for one in often) for part in (1, 0.5))
    never = sum(one == 0 for one in often)
    found = f"{always:,} found always, {half:,} at least half of the time, {never:,} never"
    yield _pairs({"circuit": size(circuit), **repeated(outcome.stability), "edges": found})
    if circuit.edges:
        yield edges(circuit, top, findings.origin.algorithm.score if findings.origin.algorithm else "")
    if outcome.stability and outcome.stability.found_often_outside:
        yield outsiders(outcome.stability.found_often_outside)


def keeps(judged: Faithfulness, metric: MetricOrigin | None) -> str:
    """How much of the behaviour a circuit keeps, with the confidence interval and the metric that says so."""
    kept, by = judged.normalised, f", by {metric.words}" if metric else ""
    return f"keeps {kept.value:.1%} (95% CI {kept.low:.1%} to {kept.high:.1%}){by}"


def right(judged: Faithfulness) -> str:
    """How often the most likely token is an answer, in the circuit and in the model."""
    return f"right on {judged.accuracy.circuit:.0%} of the prompts, the model on {judged.accuracy.full:.0%}"


def misses(complete: Completeness) -> str:
    """How complete a circuit is: the widest gap between it and the model when parts of it are ablated in both."""
    gap = complete.worst
    kept = f"the circuit keeps {gap.circuit:.1%}, the model {gap.model:.1%}"
    return f"widest gap {gap.size:.1%} in {complete.tried} ablations of parts of the circuit in both: {kept}"


def levels(judged: Faithfulness, metric: MetricOrigin | None) -> Table:
    """The metric, KL and accuracy of the full model, the circuit, and the model with every edge ablated."""
    table = _table()
    table.add_column("", no_wrap=True)
    for name in ("full model", "circuit", "ablated"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", style="dim")
    if metric is None or metric.name not in ("kl", "accuracy"):
        lower = "lower is better" if metric and "; lower: " in metric.meaning else ""
        table.add_row(metric.words if metric else "metric", *_aligned(_of(judged.metric)), lower)
    worst = f"nats; worst prompt {judged.kl_tail.max:.2f}"
    table.add_row("KL from the full model", *_aligned(_of(judged.kl)), worst)
    table.add_row("accuracy", *(f"{value:.1%}" for value in _of(judged.accuracy)), "")
    return table


def curve(points: Sequence[CurvePoint], chosen: float | None, chosen_size: int) -> RenderableType:
    """Every circuit that the pruning runs met: threshold, size and what it keeps on the discovery prompts.

    KL and accuracy have columns where they are known. Scores may be equal, so the chosen one is told by its size too.
    Runs in a row that met the same circuit are one line, and empty circuits none.
    """
    table = _table()
    more = {"KL": "kl", "accuracy": "accuracy"}
    more = {title: name for title, name in more.items() if all(getattr(p, name) is not None for p in points)}
    for title in ("threshold", "edges", "faithfulness", *more):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for (size, kept), group in groupby(points, key=lambda point: (point.edges, point.faithfulness)):
        alike = list(group)
        thresholds = [point.threshold for point in alike]
        here = chosen in thresholds and size == chosen_size
        if size or here:
            cells = [f"{chosen if here else thresholds[0]:.3g}", f"{size:,}", f"{kept:.1%}"]
            cells += [f"{getattr(alike[0], name):.{'3g' if name == 'kl' else '1%'}}" for name in more.values()]
            table.add_row(*cells, "<- chosen" if here else "", style="bold" if here else None)
    return Group(Text("How small, how faithful: the pruning runs, on the prompts to find it", style="bold"), table)


def edges(circuit: Circuit, top: int, meaning: str) -> RenderableType:
    """The `top` edges (0: all) by |score|, those without a score last; `meaning` is the score's."""
    ordered = circuit.strongest_first()
    shown = ordered[:top] if top else ordered
    table = _table()
    table.add_column("edge", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    if circuit.frequencies:
        table.add_column("found again", justify="right", no_wrap=True)
    scores = [circuit.scores.get(edge) for edge in shown]
    for edge, cell in zip(shown, _aligned(scores, signed=True), strict=True):
        often = circuit.frequencies.get(edge)
        table.add_row(edge.name, cell, *([] if not circuit.frequencies else ["-" if often is None else f"{often:.0%}"]))
    what = "Its" if len(shown) == len(ordered) else f"The {len(shown):,} strongest of its"
    parts: list[RenderableType] = [Text(f"{what} {_count(len(ordered), 'edge')}", style="bold"), table]
    if meaning and any(score is not None for score in scores):
        parts.append(Text(f"score: {meaning}", style="dim"))
    return Group(*parts)


def outsiders(often: Mapping[str, float]) -> RenderableType:
    """Edges that are not in the circuit but were found often when it was discovered again."""
    table = _table(header=False)
    for name, part in often.items():
        table.add_row(name, f"{part:.0%}")
    return Group(Text("Found again at least half of the time, but not in the circuit", style="bold"), table)


def behaviours(known: Sequence[Task]) -> Table:
    """The tasks: what each is, and below it the default model and metric, and its variations."""
    table = _table()
    table.add_column("task", style="bold", no_wrap=True)
    table.add_column("what it is; its default model and metric; its edge cases")
    for task in known:
        defaults = Text(f"{task.model}, {task.metric}", style="dim")
        cases = (
            [Text(f"edge cases: {', '.join(v.name for v in task.variations)}", style="dim")] if task.variations else []
        )
        table.add_row(task.name, Group(task.about.sentence, defaults, *cases))
    return table


def models(shipped: Sequence[Shipped]) -> Table:
    """The models that come with the package."""
    table = _table()
    table.add_column("model", style="bold", no_wrap=True)
    for name in ("layers", "heads", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it does")
    for model in shipped:
        table.add_row(model.name, str(model.layers), str(model.heads), f"{model.megabytes:.1f}", model.about)
    return table


def pretrained(gettable: Mapping[Pretrained, Path | None]) -> Table:
    """The pretrained models that can be got, and whether they have been."""
    table = _table()
    table.add_column("model", style="bold", no_wrap=True)
    for name in ("layers", "heads", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it is")
    for model, path in gettable.items():
        size = model.size
        is_ = Text(f"{model.about} Licence: {model.licence}.\n")
        is_.append("here" if path else f"not here, {size.download} MB to download by", style="dim")
        is_.append("" if path else f"\nacdc models get {model.name}")
        table.add_row(model.name, str(size.layers), str(size.heads), str(size.megabytes), is_)
    return table


def _table(*, header: bool = True) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=header)


def _pairs(rows: Mapping[str, str]) -> Table:
    """Facts under each other, each with its name; those that are not known are left out."""
    table = _table(header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, fact in rows.items():
        if fact:
            table.add_row(name, fact)
    return table


def _method(origin: Provenance) -> str:
    """How the circuit was found, as far as it is known."""
    told = []
    if method := origin.algorithm:
        told.append(method.name + (f" at threshold {method.threshold:.3g}" if method.threshold is not None else ""))
    if origin.ablation:
        told.append(f"{origin.ablation} ablation")
    if origin.model and origin.model.dtype:
        told.append(origin.model.dtype)
    return ", ".join(told)


def _of(values: Levels) -> tuple[float, float, float]:
    return values.full, values.circuit, values.none


def _aligned(values: Sequence[float | None], *, signed: bool = False) -> list[str]:
    """Numbers with as many decimals each as show three digits of the largest, and two at least; "-" for None."""
    largest = max((abs(value) for value in values if value), default=1.0)
    decimals = max(2, 2 - math.floor(math.log10(largest)))
    sign = "+" if signed else ""
    # adding 0.0 takes the sign off a rounded -0.0
    return ["-" if value is None else f"{round(value, decimals) + 0.0:{sign},.{decimals}f}" for value in values]


def _share(fraction: float) -> str:
    """A fraction in percent, with at least one digit that is not 0."""
    return f"{fraction:.1%}" if fraction >= 0.0005 or not fraction else f"{100 * fraction:.1g}%"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
