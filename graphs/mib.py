"""Circuits in the JSON of the MIB benchmark (Mueller et al. 2025), which lists every node and edge of the model."""

from __future__ import annotations

from typing import Any

from graphs.circuit import Circuit
from graphs.computation import ComputationalGraph
from graphs.errors import BadCircuitFile
from graphs.nodes import LOGITS, Edge


def to_mib(circuit: Circuit) -> dict[str, Any]:
    """The circuit in MIB's form: all nodes and edges, each with `in_graph`, edges with a score (0.0 where unknown).

    MIB's sign is ours: positive means that corrupting the edge lowers the metric.
    """
    graph, nodes = circuit.graph, set(circuit.nodes())
    return {
        "cfg": {
            "n_layers": graph.n_layers,
            "n_heads": graph.n_heads,
            "parallel_attn_mlp": graph.parallel,
            "d_model": graph.d_model,
        },
        "nodes": {node.name: {"in_graph": node in nodes} for node in (*graph.senders, LOGITS)},
        "edges": {
            edge.name: {"score": circuit.scores.get(edge, 0.0), "in_graph": edge in circuit} for edge in graph.edges()
        },
    }


def from_mib(data: dict[str, Any], *, frozen_scale: bool = False) -> Circuit:
    """The circuit of a MIB file: its edges that are `in_graph`, with their scores.

    MIB does not say whether a norm follows the sum of the heads; set `frozen_scale` for Gemma 2 and 3.

    Raises: BadCircuitFile when a part is missing or an edge is not the model's.
    """
    try:
        size = data["cfg"]
        graph = ComputationalGraph(
            n_layers=size["n_layers"],
            n_heads=size["n_heads"],
            d_model=size["d_model"],
            parallel=size["parallel_attn_mlp"],
            has_mlp="m0" in data["nodes"],
            frozen_scale=frozen_scale,
        )
        kept = {Edge.parse(name): float(row["score"]) for name, row in data["edges"].items() if row["in_graph"]}
        return Circuit(graph, frozenset(kept), kept)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCircuitFile(
            f"this is no circuit in MIB's form: {error!r}; wanted the keys cfg, nodes and edges"
        ) from error
