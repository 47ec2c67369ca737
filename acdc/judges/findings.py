"""What a circuit file says about its circuit, read back into values that can be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from acdc.graphs.circuit import Circuit
from acdc.judges.answer_form import AnswerForm
from acdc.judges.completeness import Completeness
from acdc.judges.faithfulness import Faithfulness
from acdc.judges.stability import Agreement
from acdc.progress import CurvePoint
from acdc.provenance import AlgorithmOrigin, MetricOrigin, Provenance, not_understood

TOLERANCE = 0.25
"""Integrated gradients that miss more than this part of what the metric gains are poor estimates of effects."""
OVERSHOOT = 1.1
"""A normalised faithfulness above this is more than chance: parts that worked against the behaviour are gone."""
HARDLY_SHOWN = 0.8
"""A model less accurate than this hardly shows the behaviour whose circuit was looked for."""
ANSWERS_LOST = 0.8
"""A circuit with less than this part of the model's accuracy keeps the metric by other means than the answers."""
INCOMPLETE = 0.2
"""A completeness gap wider than this part of the behaviour means that something outside the circuit does the same."""


@dataclass(frozen=True)
class Repeated:
    """How alike repeated discoveries were, and the edges outside the circuit that they found often, and how often."""

    resamples: Agreement | None = None
    seeds: Agreement | None = None
    found_often_outside: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedResults:
    """How faithful a circuit was found to be, the sweep that led to it, and what else its file has to say.

    `answer_form` is there where the model prefers the answers' other form.
    """

    faithfulness: Faithfulness | None = None
    curve: tuple[CurvePoint, ...] = ()
    notes: tuple[str, ...] = ()
    stability: Repeated | None = None
    answer_form: AnswerForm | None = None


@dataclass(frozen=True)
class Findings:
    """A circuit with everything its file says about it."""

    circuit: Circuit
    origin: Provenance
    outcome: RecordedResults

    @classmethod
    def of(cls, circuit: Circuit, where: str = "the circuit") -> Findings:
        """Read a circuit's provenance; what a file does not say, or says besides, is no mistake.

        Raises: BadCircuitFile when something it says is not of the kind it must be.
        """
        origin = Provenance.of(circuit, where)
        try:
            return cls(circuit, origin, TypeAdapter(RecordedResults).validate_python(dict(circuit.provenance)))
        except ValidationError as error:
            raise not_understood(error, where) from error


def warnings(judged: Faithfulness, metric: MetricOrigin | None) -> tuple[str, ...]:
    """What a reader should know before believing a circuit of this faithfulness by this metric."""
    by_kl = "" if metric and metric.name == "kl" else ", or find the circuit with --metric kl"
    found = []
    if judged.normalised.value > OVERSHOOT:
        found.append(
            f"the circuit overshoots: it shows {judged.normalised.value:.0%} of the behaviour, so it dropped parts "
            f"that work against it; look at KL and accuracy too{by_kl}"
        )
    if judged.accuracy.full < HARDLY_SHOWN:
        found.append(
            f"the model itself hardly shows this behaviour: it is right on {judged.accuracy.full:.0%} of the prompts; "
            "choose a model that does (--model)"
        )
    if judged.accuracy.circuit < ANSWERS_LOST * judged.accuracy.full:
        found.append(
            f"the circuit loses answers: it is right on {judged.accuracy.circuit:.0%} of the prompts, the model on "
            f"{judged.accuracy.full:.0%}; ask for a larger one (--faithfulness, --edges){by_kl}"
        )
    return tuple(found)


def nothing_found(circuit: Circuit) -> str:
    """Why a discovery ended with a circuit of no edges, and what to do about it."""
    algorithm = Provenance.of(circuit).algorithm or AlgorithmOrigin(name="")
    threshold, largest, closest = (algorithm.goal or {}).get("value"), algorithm.largest, algorithm.closest_decision
    if largest is not None:
        why = f"the largest score is {largest.score:.3g}, of {largest.edge}"
    elif threshold is not None and closest is not None and math.isfinite(closest):
        why = f"no removal cost more than {threshold - closest:.3g}"
    else:
        why = "none of its edges leads from the input to the logits"
    asked = "" if threshold is None else f" at a threshold of {threshold:.3g}"
    return (
        f"the circuit has 0 edges{asked}, so it does nothing and nothing was written: {why}; lower the threshold "
        "(--threshold), or ask for a size or a part of the behaviour (--edges, --faithfulness)"
    )


def doubts(algorithm: AlgorithmOrigin | None) -> tuple[str, ...]:
    """What a reader should know before believing the scores of a circuit's edges."""
    if algorithm is None or algorithm.missed is None or algorithm.missed <= TOLERANCE:
        return ()
    return (
        "the scores are poor estimates: integrated gradients must add up to what the metric gains on the way, and miss "
        f"{algorithm.missed:.0%} of it at {algorithm.steps_taken} points; measure removals instead (--method acdc or "
        "exact), or take more points (--steps)",
    )


def how_chosen(algorithm: AlgorithmOrigin | None) -> tuple[str, ...]:
    """What a reader should know of a circuit that was taken from a curve without reaching the goal's fraction."""
    if algorithm is None or not algorithm.knee:
        return ()
    fraction = f"{(algorithm.goal or {}).get('fraction', 0.9):.0%} of the behaviour"
    took = algorithm.edges_for_fraction
    why = f"{fraction} took {took:,} edges" if took else f"no circuit that was met keeps {fraction}"
    ended = ", and the search was interrupted" if algorithm.stopped == "interrupted" else ""
    return (
        f"{why}{ended}; so this is the circuit at the knee of the curve. Other sizes: acdc cut RUN --edges N, or more "
        "time (--minutes).",
    )


def reading(circuit: Circuit) -> tuple[str, ...]:
    """What a reader should know about what the attention of a circuit reads."""
    fed = {edge.slot for edge in circuit.edges} - {None}
    if fed != {"v"}:
        return ()
    return (
        "no edge of this circuit feeds a query or a key: where its heads attend does not depend on what the circuit "
        "reads, as their attention patterns are those of the ablated run.",
    )


def other_form(found: AnswerForm | None) -> tuple[str, ...]:
    """What a reader should know where the model prefers the answers with or without the space that they have not."""
    if found is None or not found.prefers_other:
        return ()
    how = "without their leading space" if found.given.startswith(" ") else "with a leading space"
    return (
        f"the model prefers the answers {how}: such as {found.other!r}, it gives them a probability of "
        f"{found.other_probability:.1%} on average over {found.prompts} prompts, and {found.given_probability:.1%} as "
        f"they are, such as {found.given!r}; write the answers {how}",
    )


def incompleteness(complete: Completeness | None) -> tuple[str, ...]:
    """What a reader should know about what a circuit lacks; None where there was nothing to measure."""
    if complete is None or complete.worst.size <= INCOMPLETE:
        return ()
    gap = complete.worst
    return (
        f"the circuit is incomplete: without its edges into {_listed(gap.nodes)} it keeps {gap.circuit:.0%} of the "
        f"behaviour, the model without the same edges {gap.model:.0%}; something outside the circuit does the same, "
        "takes over, or works against it; ask for a larger circuit (--faithfulness, --edges) or try another --method",
    )


def _listed(names: tuple[str, ...]) -> str:
    """A few names, or how many they are."""
    if len(names) > 6:
        return f"{len(names)} nodes"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
