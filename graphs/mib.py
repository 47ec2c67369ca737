"""Circuits and importance scores in the two forms of the MIB benchmark (Mueller et al. 2025): JSON and a score matrix.

The JSON lists every node and edge of the model with its score. The matrix holds the scores as [sender, receiver] with
MIB's own entry names, as safetensors (MIB itself pickles it, and pickles are neither read nor written here). With H
heads in a layer, sender 0 is the input, 1 + l(H+1) + h is a{l}.h{h} and 1 + l(H+1) + H is m{l}; receiver l(3H+1) +
{0,1,2}H + h is a{l}.h{h}<q|k|v>, l(3H+1) + 3H is m{l}, and the last is the logits.

MIB's sign is ours: positive means that corrupting the edge lowers the metric. MIB knows no missing score: it is 0. How
often repeated discoveries found an edge is an entry of ours (`frequency`, `edges_frequency`), where it is known.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.graphs import mib_form
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.files import write_atomically
from acdc.graphs.mib_form import MATRIX as MATRIX
from acdc.graphs.mib_form import is_mib as is_mib
from acdc.graphs.nodes import LOGITS, Edge


def to_mib(circuit: Circuit, scores: Mapping[Edge, float] | None = None) -> dict[str, Any]:
    """The circuit in MIB's JSON; `scores` may be those of all edges (None: the circuit's own, 0 elsewhere)."""
    _require_whole(circuit)
    graph, nodes = circuit.graph, set(circuit.nodes())
    scores = circuit.scores if scores is None else scores
    return {
        "cfg": _sizes(graph),
        "nodes": {node.name: {"in_graph": node in nodes} for node in (*graph.senders, LOGITS)},
        "edges": {
            edge.name: {
                "score": scores.get(edge, 0.0),
                "in_graph": edge in circuit,
                **({"frequency": circuit.frequencies[edge]} if edge in circuit.frequencies else {}),
            }
            for edge in graph.edges()
        },
    }


def save(circuit: Circuit, path: str | os.PathLike[str], scores: Mapping[Edge, float] | None = None) -> None:
    """Write the circuit in the form of MIB that the file's ending names: .json, or .safetensors for the matrix."""
    path = Path(path)
    if path.suffix != MATRIX:
        write_atomically(path, (json.dumps(to_mib(circuit, scores), indent=1, allow_nan=False) + "\n").encode())
        return
    import numpy
    from safetensors.numpy import save as serialised

    _require_whole(circuit)
    graph, nodes = circuit.graph, set(circuit.nodes())
    scores = circuit.scores if scores is None else scores
    matrix = numpy.zeros((len(graph.senders), len(graph.receivers)))
    for edge, score in scores.items():
        receiver, sender = graph.edge_indices[edge]
        matrix[sender, receiver] = score
    tensors = {
        "edges_scores": matrix,
        "edges_in_graph": numpy.ascontiguousarray(circuit.mask().T),
        "nodes_in_graph": numpy.array([node in nodes for node in graph.senders]),
    }
    if circuit.frequencies:
        often = numpy.full(matrix.shape, numpy.nan)
        for edge, frequency in circuit.frequencies.items():
            receiver, sender = graph.edge_indices[edge]
            often[sender, receiver] = frequency
        tensors["edges_frequency"] = often
    names = {
        "src_nodes": [node.name for node in graph.senders],
        "dst_nodes": [receiver.name for receiver in graph.receivers],
    }
    metadata = {"cfg": _sizes(graph), **names}
    write_atomically(path, serialised(tensors, {key: json.dumps(value) for key, value in metadata.items()}))


def _require_whole(circuit: Circuit) -> None:
    if circuit.graph.spans:
        raise DifferentGraphs(
            f"MIB's form has no edges by position: got a circuit with the spans {', '.join(circuit.graph.spans)}, "
            "wanted one without; keep it as .graphml or circuit.json, or write its `without_spans()` in Python"
        )
    if circuit.graph.splits:
        split = ", ".join(split.node.name for split in circuit.graph.splits)
        raise DifferentGraphs(
            f"MIB's form has no parts of nodes: got a circuit in which {split} is split, wanted one without; keep it "
            "as .graphml or circuit.json"
        )


def _sizes(graph: ComputationalGraph) -> dict[str, Any]:
    # MIB knows no frozen scale; where there is one, an entry of ours says so
    return {
        "n_layers": graph.n_layers,
        "n_heads": graph.n_heads,
        "parallel_attn_mlp": graph.parallel,
        "d_model": graph.d_model,
        **({"frozen_scale": True} if graph.frozen_scale else {}),
    }


def load_matrix(path: str | os.PathLike[str], *, whole: bool = False) -> Circuit:
    """The circuit of a score matrix with its scores; `whole` gives all edges with theirs, whatever is in the circuit.

    Raises: BadCircuitFile when the file cannot be read, or is in another form.
    """
    return _made(mib_form.of_matrix(path, whole=whole))


def from_mib(data: dict[str, Any], *, frozen_scale: bool = False) -> Circuit:
    """The circuit of MIB's JSON: its edges that are `in_graph`, with their scores.

    MIB does not say whether a norm spans heads; set `frozen_scale` for Gemma 2 and 3 and OLMo 2. What `to_mib` wrote
    says so itself.

    Raises: BadCircuitFile when a part is missing or an edge is not the model's.
    """
    return _made(mib_form.of_json(data, frozen_scale=frozen_scale))


def scored_graph(data: dict[str, Any], *, frozen_scale: bool = False) -> Circuit:
    """The whole graph with the score of every edge in MIB's JSON, whatever is `in_graph`: an importance file.

    Raises: BadCircuitFile as `from_mib`, and when an edge of the model is missing.
    """
    return _made(mib_form.of_json(data, frozen_scale=frozen_scale, whole=True))


def _made(parts: mib_form.CircuitParts) -> Circuit:
    return Circuit(parts.graph, frozenset(parts.scores), parts.scores, frequencies=parts.frequencies)
