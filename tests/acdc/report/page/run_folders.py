"""Folders of runs to make pages of: a real one, one with strange names, and one of a circuit of 9,216 edges."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from acdc.attacks.file import circuit_hash
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge
from acdc.hashes import edges_hash
from acdc.report.page.run_folder import RunFolder
from acdc.report.page.writing import PAGE, save_page

MARKUP = "<img src=x onerror=\"document.title='broken'\">"
ENDS_SCRIPT = "</script><script>document.title='broken'</script><!--"
RIGHT_TO_LEFT = "שלום \u202e abc"
EMOJI = "👩🏽‍🔬 &amp; <b>bold</b>"
GRAPH = ComputationalGraph(n_layers=30, n_heads=9, d_model=576)


def discovered(directory: Path) -> Path:
    """A circuit of six edges, found on a shipped model, with its page and all that is measured for it."""
    from tests.acdc.cli.command_line import acdc

    ran = acdc(
        "discover", "periodic", "--method", "exact", "--edges", "6", "--prompts", "16", "--out", directory / "run"
    )
    assert ran.code == 0, ran.err
    return directory / "run"


def page_of(directory: Path) -> Path:
    """The page of a run's folder."""
    save_page(RunFolder.read(directory / "circuit.json"), directory / PAGE)
    return directory / PAGE


def judged(edges: int, of: ComputationalGraph, kept: float) -> dict[str, Any]:
    """A faithfulness as its file has it."""
    levels = {"full": 4.0, "circuit": 4 * kept, "none": 0.0}
    return {
        "normalised": {"value": kept, "low": kept - 0.05, "high": kept + 0.05},
        "metric": levels,
        "kl": {"full": 0.0, "circuit": 3 * (1 - kept), "none": 3.0},
        "kl_tail": {"median": 0.1, "p95": 0.5, "max": 1.0},
        "accuracy": {"full": 1.0, "circuit": kept, "none": 0.0},
        "size": {"edges": edges, "of_edges": of.n_edges, "nodes": 3, "heads": 1},
    }


def record(**more: Any) -> dict[str, Any]:
    """What a circuit file says of its origin."""
    return {
        "model": {"name": "smollm2-135m", "dtype": "float32"},
        "task": {"name": "ioi", "about": "Names who received."},
        "prompts": {"count": 2, "seed": 0, "discovery": {"count": 2}, "judgement": {"count": 2}},
        "ablation": "resample",
        "metric": {"name": "logit_difference"},
        "algorithm": {"name": "eap-ig", "score": "an estimate", "score_kind": "estimate"},
        **more,
    }


def outcome(clean: str, kl: float = 0.2, *, right: bool = True) -> dict[str, Any]:
    """What came of a prompt, as `details.json` has it."""
    said = {"model": " B", "circuit": " B" if right else " C", "model_right": True, "circuit_right": right}
    metric = {"full": 4.0, "circuit": 2.0, "none": 0.0}
    return {"clean": clean, "corrupt": "X", "answers": [" B"], **said, "kl": kl, "metric": metric}


def details(circuit: Circuit, sizes: list[list[int]], prompts: list[dict[str, Any]]) -> dict[str, Any]:
    """A `details.json` of circuits that are given as numbers of the circuit's edges, strongest first."""
    ordered, before, written = circuit.strongest_first(), frozenset[int](), []
    for each in sizes:
        now, kept = frozenset(each), min(0.95, math.log10(len(each) + 1) / 4)
        written.append(
            {
                "joins": sorted(now - before),
                "leaves": sorted(before - now),
                "found": len(now) == len(circuit),
                "faithfulness": judged(len(now), circuit.graph, kept),
            }
        )
        before = now
    return {
        "schema": "acdc.details/1",
        "circuit": {"edges": len(circuit), "hash": circuit_hash(circuit)},
        "edges": [[edge.name, circuit.scores.get(edge)] for edge in ordered],
        "sizes": written,
        "prompts": prompts,
        "removals": [],
        "examples": {"prompts": [], "heads": {}, "promotes": {}},
    }


def written(directory: Path, circuit: Circuit, said: dict[str, Any]) -> Path:
    """The folder with this circuit and these details in it."""
    circuit.save(directory / "circuit.json")
    (directory / "details.json").write_text(json.dumps(said), "utf-8")
    return directory


def strange(directory: Path) -> Path:
    """A run all of whose names and texts could be taken for markup, or run the other way."""
    names = ["input->a0.h0<v>", "a0.h0->a3.h1<q>", "input->a3.h1<v>", "a3.h1->logits"]
    edges = [Edge.parse(name) for name in names]
    provenance = record(
        task={"name": MARKUP, "about": f"{ENDS_SCRIPT} {RIGHT_TO_LEFT} {EMOJI}"},
        groups={MARKUP: ["a0.h0", "a3.h1"]},
        faithfulness=judged(4, GRAPH, 0.8),
    )
    often = dict(zip(edges, (1.0, 0.4, 0.9, 1.0), strict=True))
    circuit = Circuit(GRAPH, frozenset(edges), dict(zip(edges, (3.0, -2.0, 1.0, 5.0), strict=True)), provenance, often)
    prompts = [outcome(text, right=False) for text in (MARKUP, ENDS_SCRIPT, RIGHT_TO_LEFT, EMOJI)]
    written(directory, circuit, details(circuit, [[0, 1], [0, 1, 2, 3]], prompts))
    return with_roles(directory, {"a0.h0": {"role": MARKUP, "evidence": {MARKUP: 0.5}, "percentile": 0.99}})


def with_roles(directory: Path, roles: dict[str, Any]) -> Path:
    """The folder with these roles in its circuit's file."""
    file = directory / "circuit.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "roles": roles}), "utf-8")
    return directory


def explanation(circuit: Circuit) -> dict[str, Any]:
    """What `acdc explain` writes of the strange circuit: one head has a role, of the other the evidence shows none."""
    evidence = {"attention to the token before": 0.91, "by chance": 0.2, "at all positions": 0.88}
    return {
        "circuit": edges_hash(circuit),
        "summary": "",
        "schema": "acdc.explanation/1",
        "roles": {
            "a0.h0": {"role": "previous token", "evidence": evidence, "percentile": 0.9963},
            "a3.h1": {"role": "unlabelled", "evidence": {"attention to the first token": 0.3}, "percentile": None},
        },
        "checks": [{"role": "previous token", "heads": ["a0.h0"], "cost": 0.4, "others": 0.01, "agrees": True}],
        "costs": {"a0.h0": 0.42, "a3.h1": 0.02},
        "interactions": [
            {
                "heads": ["a0.h0", "a3.h1"],
                "alone": [0.42, 0.02],
                "both": 0.8,
                "more_than_sum": {"value": 0.36, "low": 0.3, "high": 0.4},
                "structure": "backup",
            }
        ],
        "composition": [],
        "mlps": [],
        "variations": [],
        "heads": [],
    }


def large(directory: Path, count: int = 9216) -> Path:
    """A circuit of so many edges of a model of 123,211, with nested circuits of 19 sizes."""
    draw = random.Random(0)
    every = sorted(GRAPH.every_edge, key=lambda edge: edge.name)
    spine = [Edge.parse("input->m0"), Edge.parse("m0->m29"), Edge.parse("m29->logits")]
    edges = list(dict.fromkeys([*spine, *draw.sample(every, count)]))[:count]
    scores = {edge: 3.0 / (1 + at) ** 0.7 * draw.choice((1, 1, -1)) for at, edge in enumerate(edges)}
    circuit = Circuit(GRAPH, frozenset(edges), scores, record(faithfulness=judged(count, GRAPH, 0.9)))
    sizes = [4, 6, 9, 13, 20, 30, 45, 58, 90, 140, 220, 350, 400, 550, 900, 1500, 2500, 5000, 9216]
    ordered = [list(range(size)) for size in sizes if size <= count]
    return written(directory, circuit, details(circuit, ordered, [outcome("A B A")]))


def repainted(circuit: Circuit, **more: Any) -> Circuit:
    """The circuit with more in its record."""
    return replace(circuit, provenance={**circuit.provenance, **more})


def by_position(directory: Path) -> Path:
    """A run of a circuit by position, at 6 and at 7 edges; only in the larger is its head read in two columns."""
    names = ["input->a0.h1<k>@S1", "input->a0.h1<q>@S2", "a0.h1->m0@S2", "m0->a1.h0<v>@S2", "a1.h0->logits"]
    edges = [Edge.parse(name) for name in [*names, "input->m0@S2", "a0.h1->m0@END"]]
    graph = ComputationalGraph(n_layers=2, n_heads=3, d_model=8, spans=("IO", "S1", "S2", "END"))
    scores = {edge: 7.0 - at for at, edge in enumerate(edges)}
    circuit = Circuit(graph, frozenset(edges), scores, record(faithfulness=judged(7, graph, 0.8)))
    written(directory, circuit, details(circuit, [list(range(6)), list(range(7))], [outcome("A B A")]))
    return with_roles(directory, {"a0.h1": {"role": "previous token"}})
