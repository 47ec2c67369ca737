"""What is said of a circuit in a phrase: how large it is, what it keeps, how it was found, how alike others are."""

from __future__ import annotations

from acdc.graphs.circuit import Circuit
from acdc.judges.completeness import Completeness
from acdc.judges.faithfulness import Faithfulness
from acdc.judges.findings import Findings, Repeated
from acdc.judges.stability import Agreement
from acdc.provenance import MetricOrigin, Provenance


def essence(findings: Findings) -> str:
    """A circuit in one line."""
    judged = findings.outcome.faithfulness
    kept = f"; {keeps(judged, findings.origin.metric)}; {right(judged)}" if judged else ""
    return f"{findings.origin.title}: {size(findings.circuit)}{kept}"


def size(circuit: Circuit) -> str:
    """How large a circuit is, in words."""
    edges, of = len(circuit), circuit.graph.n_edges
    nodes, heads = counted(len(circuit.nodes()), "node"), counted(len(circuit.heads()), "head")
    return f"{edges:,} of {of:,} edges ({_share(edges / of)}), {nodes}, {heads}"


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


def repeated(stability: Repeated | None) -> dict[str, str]:
    """How alike repeated discoveries were, a line for those on resampled prompts and one for those on other seeds."""
    agreements = {"on resamples": stability.resamples, "on seeds": stability.seeds} if stability else {}
    return {name: agreement(one) for name, one in agreements.items() if one}


def agreement(one: Agreement) -> str:
    """How alike the circuits of repeated discoveries are, in words."""
    sizes = f"{one.fewest:,} to {one.most:,} edges" if one.fewest < one.most else counted(one.most, "edge")
    alike = [] if one.jaccard is None else [f"Jaccard {one.jaccard:.2f} with each other"]
    alike += [f"{'' if alike else 'Jaccard '}{one.with_circuit:.2f} with this circuit"]
    alike += [] if one.spearman is None else [f"scores' Spearman {one.spearman:.2f}"]
    return f"found {counted(one.runs, 'time')} again, {sizes}: {', '.join(alike)}"


def method(origin: Provenance) -> str:
    """How the circuit was found, as far as it is known."""
    parts = []
    if used := origin.algorithm:
        parts.append(used.name + (f" at threshold {used.threshold:.3g}" if used.threshold is not None else ""))
    if origin.ablation:
        parts.append(f"{origin.ablation} ablation")
    if origin.model and origin.model.dtype:
        parts.append(origin.model.dtype)
    return ", ".join(parts)


def features(origin: Provenance) -> dict[str, str]:
    """How well the features fit that MLPs are split into, a line for each MLP; none where it was not measured."""
    return {
        f"features of {mlp}": f"those of {one.dictionary} explain {one.explained:.1%} of the variance of "
        f"{one.tokens or 0:,} tokens{nearer(one.recovered)}"
        for mlp, one in origin.features.items()
        if one.explained is not None
    }


def nearer(recovered: float | None) -> str:
    """How much nearer than the mean a dictionary keeps the model's predictions, to follow what it explains."""
    if recovered is None:
        return ""
    return f"; with them in their place the model's predictions stay {recovered:.1%} nearer than with the mean"


def only_correct(left_out: bool) -> str:
    """That prompts were left out, where they were, to follow what is said of prompts."""
    return ", those left out that the model gets wrong" if left_out else ""


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _share(fraction: float) -> str:
    """A fraction in percent, with at least one digit that is not 0."""
    return f"{fraction:.1%}" if fraction >= 0.0005 or not fraction else f"{100 * fraction:.1g}%"
