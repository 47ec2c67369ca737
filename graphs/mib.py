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
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphs import strict_json
from graphs.circuit import Circuit, write_atomically
from graphs.computation import ComputationalGraph
from graphs.errors import BadCircuitFile
from graphs.files import finite_numbers
from graphs.nodes import LOGITS, Edge

MATRIX = ".safetensors"
"""The ending of files that hold a score matrix."""


def to_mib(circuit: Circuit, scores: Mapping[Edge, float] | None = None) -> dict[str, Any]:
    """The circuit in MIB's JSON; `scores` may be those of all edges (None: the circuit's own, 0 elsewhere)."""
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


def from_mib(data: dict[str, Any], *, frozen_scale: bool = False) -> Circuit:
    """The circuit of MIB's JSON: its edges that are `in_graph`, with their scores.

    MIB does not say whether a norm follows the sum of the heads; set `frozen_scale` for Gemma 2 and 3. What `to_mib`
    wrote says so itself.

    Raises: BadCircuitFile when a part is missing or an edge is not the model's.
    """
    return _read(data, frozen_scale, whole=False)


def scored_graph(data: dict[str, Any], *, frozen_scale: bool = False) -> Circuit:
    """The whole graph with the score of every edge in MIB's JSON, whatever is `in_graph`: an importance file.

    Raises: BadCircuitFile as `from_mib`, and when an edge of the model is missing.
    """
    return _read(data, frozen_scale, whole=True)


def save(circuit: Circuit, path: str | os.PathLike[str], scores: Mapping[Edge, float] | None = None) -> None:
    """Write the circuit in the form of MIB that the file's ending names: .json, or .safetensors for the matrix."""
    path = Path(path)
    if path.suffix != MATRIX:
        write_atomically(path, (json.dumps(to_mib(circuit, scores), indent=1, allow_nan=False) + "\n").encode())
        return
    import numpy
    from safetensors.numpy import save as serialised

    graph, nodes = circuit.graph, set(circuit.nodes())
    scores = circuit.scores if scores is None else scores
    matrix = numpy.zeros((len(graph.senders), len(graph.receivers)))
    for edge, score in scores.items():
        receiver, sender = graph.places[edge]
        matrix[sender, receiver] = score
    tensors = {
        "edges_scores": matrix,
        "edges_in_graph": numpy.ascontiguousarray(circuit.mask().T),
        "nodes_in_graph": numpy.array([node in nodes for node in graph.senders]),
    }
    if circuit.frequencies:
        often = numpy.full(matrix.shape, numpy.nan)
        for edge, frequency in circuit.frequencies.items():
            receiver, sender = graph.places[edge]
            often[sender, receiver] = frequency
        tensors["edges_frequency"] = often
    names = {
        "src_nodes": [node.name for node in graph.senders],
        "dst_nodes": [receiver.name for receiver in graph.receivers],
    }
    metadata = {"cfg": _sizes(graph), **names}
    write_atomically(path, serialised(tensors, {key: json.dumps(value) for key, value in metadata.items()}))


def load_matrix(path: str | os.PathLike[str], *, whole: bool = False) -> Circuit:
    """The circuit of a score matrix with its scores; `whole` gives all edges with theirs, whatever is in the circuit.

    Raises: BadCircuitFile when the file cannot be read, or is in another form.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            scores, kept = (file.get_tensor(name) for name in ("edges_scores", "edges_in_graph"))
            known = "edges_frequency" in file.keys()  # noqa: SIM118  # an open file is no mapping
            often = file.get_tensor("edges_frequency") if known else None
        cfg, senders = (strict_json.loads(metadata[key]) for key in ("cfg", "src_nodes"))
        graph = _graph(cfg, has_mlp="m0" in senders)
        shape = (len(graph.senders), len(graph.receivers))
        if not scores.shape == kept.shape == shape:
            raise ValueError(f"the matrices are {scores.shape} and {kept.shape}, the model's edges {shape}")
        taken = {
            edge: float(scores[sender, receiver])
            for edge, (receiver, sender) in graph.places.items()
            if whole or kept[sender, receiver]
        }
        frequencies = {} if often is None else {edge: float(often[graph.places[edge][::-1]]) for edge in taken}
        frequencies = {edge: frequency for edge, frequency in frequencies.items() if not math.isnan(frequency)}
        return Circuit(graph, frozenset(taken), finite_numbers(taken, "score"), frequencies=frequencies)
    except OSError as error:
        raise BadCircuitFile(f"no circuit can be read from {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCircuitFile(
            f"{path} is no score matrix in MIB's form: {error!r}; wanted the tensors edges_scores and edges_in_graph "
            "as [sender, receiver], and cfg and src_nodes as JSON in the metadata"
        ) from error


def is_mib(data: object) -> bool:
    """Whether JSON data is in MIB's form rather than ours."""
    return isinstance(data, dict) and "schema" not in data and {"cfg", "nodes", "edges"} <= data.keys()


def _sizes(graph: ComputationalGraph) -> dict[str, Any]:
    # MIB knows no frozen scale; where there is one, an entry of ours says so
    return {
        "n_layers": graph.n_layers,
        "n_heads": graph.n_heads,
        "parallel_attn_mlp": graph.parallel,
        "d_model": graph.d_model,
        **({"frozen_scale": True} if graph.frozen_scale else {}),
    }


def _graph(sizes: Mapping[str, Any], *, has_mlp: bool, frozen_scale: bool = False) -> ComputationalGraph:
    return ComputationalGraph(
        n_layers=sizes["n_layers"],
        n_heads=sizes["n_heads"],
        d_model=sizes["d_model"],
        parallel=sizes["parallel_attn_mlp"],
        has_mlp=has_mlp,
        frozen_scale=frozen_scale or bool(sizes.get("frozen_scale")),
    )


def _read(data: dict[str, Any], frozen_scale: bool, *, whole: bool) -> Circuit:
    try:
        graph = _graph(data["cfg"], has_mlp="m0" in data["nodes"], frozen_scale=frozen_scale)
        rows = {Edge.parse(name): row for name, row in data["edges"].items()}
        if whole and (missing := graph.n_edges - len(rows)) > 0:
            raise ValueError(f"{missing} edges of the model are missing")
        kept = finite_numbers({edge: row["score"] for edge, row in rows.items() if whole or row["in_graph"]}, "score")
        often = {edge: rows[edge]["frequency"] for edge in kept if "frequency" in rows[edge]}
        return Circuit(graph, frozenset(kept), kept, frequencies=finite_numbers(often, "frequency"))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadCircuitFile(
            f"this is no circuit in MIB's form: {error!r}; wanted the keys cfg, nodes and edges"
        ) from error
