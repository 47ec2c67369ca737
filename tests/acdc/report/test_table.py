"""Tables say what the values say, in few columns."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.findings import Findings, RecordedResults
from acdc.progress import CurvePoint
from acdc.provenance import (
    AlgorithmOrigin,
    MetricOrigin,
    ModelOrigin,
    PromptsOrigin,
    PromptsSide,
    Provenance,
    TaskOrigin,
)
from acdc.report import table
from tests.acdc.judges.test_findings import GRAPH, JUDGED

LOGIT = MetricOrigin(name="logit_difference", meaning="a - b; higher: more of the behaviour")


def lines(part: RenderableType) -> list[str]:
    """What a terminal of 80 columns shows, without the spaces at the ends of lines."""
    screen = io.StringIO()
    Console(file=screen, width=80, highlight=False).print(part)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def scored(**scores: float) -> Circuit:
    edges = {Edge.parse(f"{sender}->logits"): score for sender, score in scores.items()}
    return Circuit(GRAPH, frozenset(edges), edges)


def test_a_circuit_s_story_is_told_from_the_whole_to_the_parts() -> None:
    origin = Provenance(
        model=ModelOrigin(name="toy", dtype="float64"),
        task=TaskOrigin(name="echo", about="Says it again."),
        prompts=PromptsOrigin(
            seed=3, discovery=PromptsSide(count=64, right=60), judgement=PromptsSide(count=63, right=62)
        ),
        ablation="mean",
        metric=LOGIT,
        algorithm=AlgorithmOrigin(name="acdc", threshold=0.25, score="how much worse"),
    )
    points = (CurvePoint(1.0, 1, 0.5, 6), CurvePoint(0.25, 2, 0.9375, 6))
    findings = Findings(scored(input=1.5, m0=-0.25), origin, RecordedResults(JUDGED, points, ("a norm is frozen",)))
    assert [lines(part) for part in table.summary(findings, 10)] == [
        ["echo on toy", "Says it again."],
        [
            "circuit       2 of 8 edges (25.0%), 3 nodes, 0 heads",
            "faithfulness  keeps 90.0% (95% CI 85.0% to 95.0%), by logit difference",
            "prompts       64 to find it and 63 others to judge it, drawn with seed 3",
            "model right   on 60 of 64 and on 62 of the 63 others",
            "method        acdc at threshold 0.25, mean ablation, float64",
        ],
        [
            "                        full model  circuit  ablated",
            "logit difference              4.00     3.50    -1.00",
            "KL from the full model        0.00     0.20     5.00  nats; worst prompt 1.25",
            "accuracy                    100.0%    90.0%     0.0%",
        ],
        [
            "How small, how faithful: every circuit met, on the prompts to find it",
            "threshold  edges  faithfulness",
            "        1      1         50.0%",
            "     0.25      2         93.8%  <- chosen",
        ],
        [
            "Its 2 edges",
            "edge           score",
            "input->logits  +1.50",
            "m0->logits     -0.25",
            "score: how much worse",
        ],
        ["Note: a norm is frozen"],
    ]


def test_prompts_without_those_that_the_model_gets_wrong_say_so() -> None:
    side = PromptsSide(count=64, right=64)
    prompts = PromptsOrigin(seed=3, discovery=side, judgement=side, only_correct=True)
    findings = Findings(Circuit.empty(GRAPH), Provenance(prompts=prompts), RecordedResults())
    told = " ".join(" ".join(lines(table.facts(findings))).split())
    assert "drawn with seed 3, those left out that the model gets wrong model right on 64 of 64 and on" in told


def test_only_what_is_known_is_told() -> None:
    findings = Findings(Circuit.empty(GRAPH), Provenance(), RecordedResults())
    assert [lines(part) for part in table.summary(findings, 10)] == [
        ["a behaviour its file does not name"],
        [
            "circuit       0 of 8 edges (0.0%), 0 nodes, 0 heads",
            "faithfulness  not measured; `acdc evaluate` does that",
        ],
    ]


def test_a_metric_of_which_less_is_better_says_so() -> None:
    shown = lines(table.levels(JUDGED, MetricOrigin(name="nll", meaning="nats; lower: more of the behaviour")))
    assert shown[1].split("  ")[-1] == "lower is better"


@pytest.mark.parametrize("name", ["kl", "accuracy"])
def test_a_metric_that_has_a_row_of_its_own_has_no_second_one(name: str) -> None:
    assert len(lines(table.levels(JUDGED, MetricOrigin(name=name)))) == 3


def test_runs_that_met_the_same_circuit_are_one_line_and_empty_circuits_none() -> None:
    sizes = {8.0: (0, 0.0), 4.0: (2, 0.5), 2.0: (2, 0.5), 1.0: (3, 0.9), 0.7: (3, 0.9), 0.5: (4, 1.0)}
    points = [CurvePoint(threshold, *met, 6) for threshold, met in sizes.items()]
    assert [line.split() for line in lines(table.curve(points, 0.7, 3))[2:]] == [
        ["4", "2", "50.0%"],
        ["0.7", "3", "90.0%", "<-", "chosen"],
        ["0.5", "4", "100.0%"],
    ]


def test_kl_and_accuracy_stand_in_the_curve_where_they_are_known() -> None:
    points = [CurvePoint(1.0, 2, 0.92, 6, 0.4, 0.21), CurvePoint(0.5, 3, 0.95, 6, 0.04, 1.0)]
    header, first, second = (line.split() for line in lines(table.curve(points, 0.5, 3))[1:])
    assert header == ["threshold", "edges", "faithfulness", "KL", "accuracy"]
    assert first == ["1", "2", "92.0%", "0.4", "21.0%"]
    assert second == ["0.5", "3", "95.0%", "0.04", "100.0%", "<-", "chosen"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["input->a0.h0<v>", "a0.h0->logits"], True),
        (["input->a0.h0<v>", "input->a0.h0<q>", "a0.h0->logits"], False),
        (["input->a0.h0<v>", "input->a0.h0<k>", "a0.h0->logits"], False),
        (["input->m0", "m0->logits"], False),
    ],
)
def test_a_circuit_that_feeds_no_query_and_no_key_is_told(names: list[str], told: bool) -> None:
    parts = table.summary(Findings(Circuit.from_names(GRAPH, names), Provenance(), RecordedResults()), 10)
    shown = " ".join(line for part in parts for line in lines(part))
    assert ("Note: no edge of this circuit feeds a query or a key" in shown) == told


def test_of_circuits_with_equal_thresholds_one_is_chosen() -> None:
    points = [CurvePoint(0.5, size, size / 4, 0) for size in (2, 3, 4)]
    shown = [line.split() for line in lines(table.curve(points, 0.5, 3))[2:]]
    assert [line[1] for line in shown if "chosen" in line] == ["3"]


def test_the_strongest_edges_come_first_whatever_their_sign() -> None:
    shown = lines(table.edges(scored(input=0.001, m0=-0.02), 1, ""))
    assert shown == ["The 1 strongest of its 2 edges", "edge          score", "m0->logits  -0.0200"]


def test_edges_without_a_score_come_last_with_none() -> None:
    circuit = Circuit(GRAPH, scored(input=1.0, m0=1.0).edges, {Edge.parse("m0->logits"): -0.5})
    assert [line.split() for line in lines(table.edges(circuit, 0, "x"))[2:4]] == [
        ["m0->logits", "-0.500"],
        ["input->logits", "-"],
    ]


def test_a_value_that_rounds_to_nothing_has_no_sign() -> None:
    assert "-0.00" not in "".join(lines(table.edges(scored(input=-1e-9, m0=3.0), 0, "")))


def test_frequencies_have_a_column_where_they_are_known() -> None:
    circuit = scored(input=1.5, m0=-0.25)
    noted = replace(circuit, frequencies={Edge.parse("input->logits"): 0.75})
    assert lines(table.edges(noted, 0, ""))[1:] == [
        "edge           score  found again",
        "input->logits  +1.50          75%",
        "m0->logits     -0.25            -",
    ]
    assert "found again" not in "\n".join(lines(table.edges(circuit, 0, "")))
