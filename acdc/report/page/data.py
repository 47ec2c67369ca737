"""What a page shows of a run, as plain JSON data: its graph at every measured size, and all that was measured."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from acdc.attacks.file import circuit_hash
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import Faithfulness
from acdc.judges.findings import Findings, doubts, how_chosen, other_form, reading, warnings
from acdc.report import phrases
from acdc.report.page import details
from acdc.report.page.boxes import boxes_of
from acdc.report.page.run_folder import ATTACK, CLAIMS, EVALUATION, EXPLANATION, VIEW, RunFolder
from acdc.settings import Method

READABLE = 60
"""A page opens with the largest measured circuit of at most so many edges, or with the smallest there is."""

_Json = dict[str, Any]


def page_data(run: RunFolder) -> _Json:
    """All that the page of a run shows."""
    findings, origin = run.findings, run.findings.origin
    measured = run.files.get(details.NAME)
    circuits, judged = _family(findings, measured)
    algorithm, record = origin.algorithm, findings.circuit.to_json()
    explained = run.files.get(EXPLANATION, {})
    return {
        "schema": "acdc.page/1",
        "of": [subject_of(findings)],
        "title": origin.title,
        "about": origin.task.about if origin.task else "",
        "summary": _summary(findings),
        "warnings": warnings_of(findings),
        "graph": graph_data(circuits, judged, findings.circuit),
        "score": {"meaning": algorithm.score if algorithm else "", "kind": algorithm.score_kind if algorithm else None},
        "roles": {**explained.get("roles", {}), **record.get("roles", {})},
        "groups": findings.circuit.provenance.get("groups", {}),
        "circuit": record,
        "removals": measured["removals"] if measured else [],
        "prompts": measured["prompts"] if measured else [],
        "examples": measured["examples"] if measured else None,
        "attack": run.files.get(ATTACK),
        "evaluation": run.files.get(EVALUATION),
        "claims": run.files.get(CLAIMS),
        "explanation": explained or None,
        "view": run.files.get(VIEW),
        "stability": _stability(findings),
        "lacking": [asdict(one) for one in run.lacking],
        "commands": {"again": again(findings), "report": f"acdc report {run.directory}"},
    }


def graph_data(circuits: Sequence[Circuit], judged: Sequence[Faithfulness | None], found: Circuit) -> _Json:
    """The circuits of all sizes, each with the places of its boxes; boxes and edges go by number."""
    every = list(dict.fromkeys(edge for circuit in circuits for edge in circuit.strongest_first()))
    number = {edge: index for index, edge in enumerate(every)}
    scores = {edge: score for circuit in (*circuits, found) for edge, score in circuit.scores.items()}
    boxes = boxes_of(circuits)
    before = (frozenset[Edge](), *(circuit.edges for circuit in circuits))
    readable = [index for index, circuit in enumerate(circuits) if len(circuit) <= READABLE]
    own = next(index for index, circuit in enumerate(circuits) if circuit.edges == found.edges)
    return {
        "n_edges": found.graph.n_edges,
        "nodes": boxes.to_json(),
        "edges": [
            [*boxes.ends(edge), edge.slot, scores.get(edge)]
            + ([found.frequencies[edge]] if edge in found.frequencies else [])
            for edge in every
        ],
        **({"spans": [edge.span for edge in every]} if found.graph.spans else {}),
        "sizes": [
            {
                "edges": len(circuit),
                "joins": sorted(number[edge] for edge in circuit.edges - smaller),
                "leaves": sorted(number[edge] for edge in smaller - circuit.edges),
                "found": index == own,
                "faithfulness": one.to_json() if one else None,
                **boxes.placed(index, number),
            }
            for index, (smaller, circuit, one) in enumerate(zip(before, circuits, judged, strict=False))
        ],
        "opens": own if len(found) <= READABLE else max(readable, default=0),
    }


def _family(
    findings: Findings, measured: Mapping[str, Any] | None
) -> tuple[Sequence[Circuit], Sequence[Faithfulness | None]]:
    """The circuits of all measured sizes with what was measured; only the one that was found where no other was."""
    found = findings.circuit
    if measured is None:
        return [found], [findings.outcome.faithfulness]
    edges = [Edge.parse(name) for name, _ in measured["edges"]]
    scores = {edge: score for edge, (_, score) in zip(edges, measured["edges"], strict=True) if score is not None}
    circuits, judged = [], []
    for chosen, size in zip(details.members(measured), measured["sizes"], strict=True):
        members = frozenset(edges[index] for index in chosen)
        circuits.append(Circuit(found.graph, members, {edge: scores[edge] for edge in members & scores.keys()}))
        judged.append(faithfulness_of(size["faithfulness"]))
    return circuits, judged


def subject_of(findings: Findings) -> _Json:
    """What tells one page's subject from another's: the circuit's edges, and what it is measured with."""
    return {"hash": circuit_hash(findings.circuit), **findings.origin.measurement()}


def faithfulness_of(data: Mapping[str, Any]) -> Faithfulness:
    """A faithfulness from what its `to_json` gave."""
    return TypeAdapter(Faithfulness).validate_python(dict(data))


def again(findings: Findings) -> str:
    """The command that finds this circuit again, as far as its record says."""
    origin = findings.origin
    task = (origin.task.file or origin.task.name) if origin.task else "TASK"
    words = ["acdc", "discover", task]
    if origin.model:
        words += ["--model", origin.model.name]
        words += ["--dtype", origin.model.dtype] if origin.model.dtype not in ("", "float32") else []
    if origin.algorithm:
        words += [
            "--method",
            origin.algorithm.name,
            *_goal(origin.algorithm.goal),
            *_settings(origin.algorithm.settings),
        ]
    if origin.metric:
        words += ["--metric", origin.metric.name]
    words += ["--ablation", origin.ablation] if origin.ablation else []
    words += ["--split", origin.model.split] if origin.model and origin.model.split else []
    words += ["--parts-read"] if origin.model and origin.model.parts_read else []
    if origin.prompts:
        words += ["--prompts", str(origin.prompts.count)] if origin.prompts.count is not None else []
        words += ["--seed", str(origin.prompts.seed)] if origin.prompts.seed is not None else []
        words += ["--only-correct"] if origin.prompts.only_correct else []
        words += ["--positions", origin.prompts.positions] if origin.prompts.positions != "none" else []
    return shlex.join(words)


_GOALS = {
    "KeptFaithfulness": ("--faithfulness", "fraction"),
    "Edges": ("--edges", "count"),
    "Threshold": ("--threshold", "value"),
    "MeanKL": ("--kl", "nats"),
    "KeptAccuracy": ("--accuracy", "fraction"),
    "Minutes": ("--minutes", "minutes"),
}


def _goal(goal: Mapping[str, Any] | None) -> list[str]:
    option, name = _GOALS.get((goal or {}).get("kind", ""), ("", ""))
    value = (goal or {}).get(name)
    return [option, str(value)] if option and value is not None else []


def _settings(settings: Mapping[str, Any] | None) -> list[str]:
    """The settings of a method that are not its usual ones."""
    said = settings or {}
    usual = Method(said["name"]) if "name" in said else None
    words: list[str] = []
    for name in ("refine", "select", "level", "steps"):
        if usual is not None and name in said and said[name] != getattr(usual, name):
            words += ["--refine"] if name == "refine" else [f"--{name}", str(said[name])]
    return words


def _summary(findings: Findings) -> list[list[str]]:
    """The facts at the head of the page, each with its name."""
    origin, judged = findings.origin, findings.outcome.faithfulness
    facts = [["circuit", phrases.size(findings.circuit)]]
    if judged:
        facts += [["faithfulness", phrases.keeps(judged, origin.metric)], ["accuracy", phrases.right(judged)]]
    facts.append(["method", phrases.method(origin)])
    facts += [[name, words] for name, words in phrases.features(origin).items()]
    if origin.prompts and origin.prompts.discovery and origin.prompts.judgement:
        seen, new = origin.prompts.discovery, origin.prompts.judgement
        drawn = f"drawn with seed {origin.prompts.seed}{phrases.only_correct(origin.prompts.only_correct)}"
        facts.append(["prompts", f"{seen.count:,} to find it and {new.count:,} others to judge it, {drawn}"])
    return facts + [[name, words] for name, words in phrases.repeated(findings.outcome.stability).items()]


def warnings_of(findings: Findings) -> list[str]:
    """What the terminal warns of, and then its notes."""
    judged, algorithm = findings.outcome.faithfulness, findings.origin.algorithm
    found = [*(warnings(judged, findings.origin.metric) if judged else ()), *doubts(algorithm)]
    found += other_form(findings.outcome.answer_form)
    return [*found, *how_chosen(algorithm), *findings.outcome.notes, *reading(findings.circuit)]


def _stability(findings: Findings) -> _Json | None:
    repeated = findings.outcome.stability
    return asdict(repeated) if repeated else None
