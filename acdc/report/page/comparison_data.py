"""What a page shows of two runs together, as plain JSON data."""

from __future__ import annotations

from typing import Any

from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import without_content
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.nodes import Edge
from acdc.judges.comparison import Difference
from acdc.judges.findings import Findings
from acdc.judges.stability import jaccard
from acdc.report import phrases
from acdc.report.page.data import again, graph_data, subject_of, warnings_of
from acdc.report.page.run_folder import RunFolder


def comparison_data(a: RunFolder, b: RunFolder, measured: Difference | None, unmeasured: str = "") -> dict[str, Any]:
    """All that the page of two runs shows; without a measurement, `unmeasured` says why.

    Raises: DifferentGraphs.
    """
    first, second = a.findings.circuit, b.findings.circuit
    if first.graph != second.graph:
        raise DifferentGraphs(
            f"two circuits of different models cannot be compared in one page: {first.graph.describe()} against "
            f"{second.graph.describe()}; make a page of each"
        )
    strongest = {edge: _stronger(first, second, edge) for edge in (first | second).edges}
    scores = {edge: score for edge, score in strongest.items() if score is not None}
    either = Circuit(first.graph, frozenset(strongest), scores)
    graph = graph_data([either], [None], either)
    in_order = either.strongest_first()
    return {
        "schema": "acdc.page/1",
        "of": [subject_of(run.findings) for run in (a, b)],
        "title": f"A: {a.findings.origin.title} · B: {b.findings.origin.title}",
        "about": f"A is {a.directory}, B is {b.directory}",
        "summary": [[f"{name}: {key}", value] for name, run in (("A", a), ("B", b)) for key, value in _facts(run)],
        "warnings": [f"{name}: {words}" for name, run in (("A", a), ("B", b)) for words in warnings_of(run.findings)],
        "graph": {
            **graph,
            "sides": [_side(edge, first, second) for edge in in_order],
            "scores": [[first.scores.get(edge), second.scores.get(edge)] for edge in in_order],
        },
        "score": _score(a.findings, b.findings, measured),
        "roles": {**second.to_json().get("roles", {}), **first.to_json().get("roles", {})},
        "groups": {**_said(second, "groups"), **_said(first, "groups")},
        "circuit": {"A": _record(first), "B": _record(second)},
        **dict.fromkeys(("examples", "attack", "evaluation", "claims", "explanation", "view", "stability")),
        **{name: [] for name in ("removals", "prompts", "lacking")},
        "commands": {
            "again": f"{again(a.findings)}\n{again(b.findings)}",
            "report": f"acdc report {a.directory} {b.directory}",
        },
        "compared": {
            "a": {"title": a.findings.origin.title, "summary": phrases.size(first)},
            "b": {"title": b.findings.origin.title, "summary": phrases.size(second)},
            "jaccard": jaccard(first, second),
            "measured": [one.to_json() for one in measured.measured] if measured else [],
            "unmeasured": measured.unmeasured if measured else unmeasured,
        },
    }


def _facts(run: RunFolder) -> list[list[str]]:
    judged, origin = run.findings.outcome.faithfulness, run.findings.origin
    kept = [["faithfulness", phrases.keeps(judged, origin.metric)]] if judged else []
    return [["circuit", phrases.size(run.findings.circuit)], *kept]


def _stronger(first: Circuit, second: Circuit, edge: Edge) -> float | None:
    """The score of an edge that is the further from 0, of those that it has."""
    scores = [score for circuit in (first, second) if (score := circuit.scores.get(edge)) is not None]
    return max(scores, key=abs, default=None)


def _side(edge: Edge, first: Circuit, second: Circuit) -> str:
    return "both" if edge in first.edges and edge in second.edges else "first" if edge in first.edges else "second"


def _score(a: Findings, b: Findings, measured: Difference | None) -> dict[str, Any]:
    """What scores mean, where they mean the same in both."""
    one, other = a.origin.algorithm, b.origin.algorithm
    if one and other and one.score == other.score and (measured is None or measured.same_scores):
        return {"meaning": f"{one.score}; the larger of A's and B's", "kind": one.score_kind}
    return {"meaning": "the larger of A's and B's, which mean different things", "kind": None}


def _said(circuit: Circuit, name: str) -> dict[str, Any]:
    said = circuit.provenance.get(name)
    return dict(said) if isinstance(said, dict) else {}


def _record(circuit: Circuit) -> dict[str, Any]:
    return {
        key: value
        for key, value in without_content(circuit.provenance).items()
        if key not in ("curve", "faithfulness", "roles")
    }
