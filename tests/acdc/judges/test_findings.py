"""What a circuit file says is read back, and what cannot be understood is named."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadCircuitFile
from acdc.judges.completeness import Completeness, Gap
from acdc.judges.faithfulness import Faithfulness, Interval, Levels, Size, Tail
from acdc.judges.findings import Findings, doubts, incompleteness, warnings
from acdc.progress import CurvePoint
from acdc.provenance import AlgorithmOrigin, MetricOrigin

GRAPH = ComputationalGraph(1, 1, 4)
JUDGED = Faithfulness(
    normalised=Interval(0.9, 0.85, 0.95),
    metric=Levels(4.0, 3.5, -1.0),
    kl=Levels(0.0, 0.2, 5.0),
    kl_tail=Tail(0.1, 0.5, 1.25),
    accuracy=Levels(1.0, 0.9, 0.0),
    size=Size(2, 6, 3, 0),
)


def judged(value: float = 0.9, accuracy: tuple[float, float] = (1.0, 0.9)) -> Faithfulness:
    levels = Levels(*accuracy, 0.0)
    return Faithfulness(Interval(value, 0.5, 1.5), JUDGED.metric, JUDGED.kl, JUDGED.kl_tail, levels, JUDGED.size)


def circuit(**provenance: Any) -> Circuit:
    return Circuit(GRAPH, frozenset(Circuit.from_names(GRAPH, ["input->logits"]).edges), {}, provenance)


def test_faithfulness_and_curve_come_back_as_they_went() -> None:
    points = (CurvePoint(0.5, 3, 0.9, 6), CurvePoint(0.25, 4, 1.0, 6))
    findings = Findings.of(circuit(faithfulness=JUDGED.to_json(), curve=[asdict(point) for point in points]))
    assert findings.outcome.faithfulness == JUDGED
    assert findings.outcome.curve == points


def test_a_circuit_that_says_nothing_has_findings_that_say_nothing() -> None:
    findings = Findings.of(circuit())
    assert findings.outcome.faithfulness is None
    assert findings.origin.model is None


def test_what_a_later_version_may_add_is_no_mistake() -> None:
    origin = Findings.of(circuit(colour="blue", model={"name": "m", "licence": "MIT"})).origin
    assert origin.model is not None
    assert origin.model.name == "m"


@pytest.mark.parametrize(
    ("provenance", "key"),
    [
        ({"model": {"revision": "x"}}, "model.name"),
        ({"curve": [{"threshold": 1, "edges": "many", "faithfulness": 1, "tested": 1}]}, "curve.0.edges"),
        ({"ablation": 3}, "ablation"),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_key(provenance: dict[str, Any], key: str) -> None:
    with pytest.raises(BadCircuitFile, match=f"what my.json says under '{key}' cannot be understood"):
        Findings.of(circuit(**provenance), "my.json")


@pytest.mark.parametrize(
    ("faithfulness", "words"),
    [
        (judged(), []),
        (judged(value=1.25), ["the circuit overshoots: it shows 125% of the behaviour"]),
        (judged(accuracy=(0.5, 0.5)), ["the model itself hardly shows this behaviour: it is right on 50%"]),
        (
            judged(accuracy=(1.0, 0.4)),
            ["the circuit loses answers: it is right on 40% of the prompts, the model on 100%"],
        ),
    ],
)
def test_each_warning_is_given_when_it_is_due(faithfulness: Faithfulness, words: list[str]) -> None:
    told = warnings(faithfulness, None)
    assert len(told) == len(words)
    assert all(warning.startswith(start) for warning, start in zip(told, words, strict=True))


def test_a_wide_gap_is_a_warning_and_a_narrow_one_is_not() -> None:
    def complete(nodes: tuple[str, ...], circuit: float) -> Completeness:
        return Completeness(0.0, Gap(nodes, circuit, 0.9), 3)

    (told,) = incompleteness(complete(("m0", "m1", "logits"), 0.1))
    assert told.startswith("the circuit is incomplete: without its edges into m0, m1 and logits it keeps 10% of the ")
    assert "the model without the same edges 90%" in told
    (told,) = incompleteness(complete(("m0",), 1.5))
    assert "into m0 it keeps 150%" in told
    (told,) = incompleteness(complete(tuple("abcdefg"), 0.1))
    assert "into 7 nodes it keeps" in told
    assert incompleteness(complete(("m0",), 0.8)) == incompleteness(None) == ()


def test_nobody_is_sent_to_the_metric_they_have_used() -> None:
    (told,) = warnings(judged(accuracy=(1.0, 0.4)), MetricOrigin(name="logit_difference"))
    assert told.endswith(", or find the circuit with --metric kl")
    (told,) = warnings(judged(accuracy=(1.0, 0.4)), MetricOrigin(name="kl"))
    assert "kl" not in told


@pytest.mark.parametrize(("name", "words"), [("logit_difference", "logit difference"), ("kl", "KL"), ("l2", "L2")])
def test_a_metric_is_called_as_people_call_it(name: str, words: str) -> None:
    assert MetricOrigin(name=name).words == words


@pytest.mark.parametrize(("missed", "doubtful"), [(None, False), (0.25, False), (0.26, True), (1.5, True)])
def test_scores_that_do_not_add_up_are_doubted(missed: float | None, doubtful: bool) -> None:
    told = doubts(AlgorithmOrigin(name="eap-ig", steps_taken=80, missed=missed))
    assert len(told) == doubtful
    assert all(f"miss {missed:.0%} of it at 80 points" in doubt for doubt in told)
