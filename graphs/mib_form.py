"""The two forms of the MIB benchmark read, as far as they are read before they are a circuit (see `graphs.mib`)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from acdc.graphs import strict_json
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.files import finite_numbers
from acdc.graphs.nodes import Edge

MATRIX = ".safetensors"
"""The ending of files that hold a score matrix."""


class CircuitParts(NamedTuple):
    """What a circuit in MIB's form is made of; its edges are those that have a score."""

    graph: ComputationalGraph
    scores: Mapping[Edge, float]
    frequencies: Mapping[Edge, float]

    @classmethod
    def checked(
        cls, graph: ComputationalGraph, scores: Mapping[Edge, float], frequencies: Mapping[Edge, float]
    ) -> CircuitParts:
        """The parts, if they can be those of a circuit.

        Raises: ValueError when an edge is not the graph's, or a frequency no fraction.
        """
        if foreign := sorted(edge.name for edge in scores if edge not in graph):
            raise ValueError(f"{len(foreign)} edges are not in this model, the first being {foreign[0]}")
        if odd := [name for name, often in frequencies.items() if not 0 <= often <= 1]:
            raise ValueError(f"the frequency of {odd[0].name} is {frequencies[odd[0]]}; wanted a fraction from 0 to 1")
        return cls(graph, scores, frequencies)


def is_mib(data: object) -> bool:
    """Whether JSON data is in MIB's form rather than ours."""
    return isinstance(data, dict) and "schema" not in data and {"cfg", "nodes", "edges"} <= data.keys()


def of_json(data: Mapping[str, Any], *, frozen_scale: bool = False, whole: bool = False) -> CircuitParts:
    """The circuit in MIB's JSON, or with `whole` all edges with their scores, whatever is `in_graph`.

    Raises: BadCircuitFile when a part is missing or an edge is not the model's.
    """
    try:
        graph = _graph(data["cfg"], has_mlp="m0" in data["nodes"], frozen_scale=frozen_scale)
        rows = {Edge.parse(name): row for name, row in data["edges"].items()}
        if whole and (missing := graph.n_edges - len(rows)) > 0:
            raise ValueError(f"{missing} edges of the model are missing")
        kept = finite_numbers({edge: row["score"] for edge, row in rows.items() if whole or row["in_graph"]}, "score")
        often = {edge: rows[edge]["frequency"] for edge in kept if "frequency" in rows[edge]}
        return CircuitParts.checked(graph, kept, finite_numbers(often, "frequency"))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadCircuitFile(
            f"this is no circuit in MIB's form: {error!r}; wanted the keys cfg, nodes and edges"
        ) from error


def of_matrix(path: str | os.PathLike[str], *, whole: bool = False) -> CircuitParts:
    """The circuit in a score matrix, or with `whole` all edges with their scores, whatever is in the circuit.

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
            for edge, (receiver, sender) in graph.edge_indices.items()
            if whole or kept[sender, receiver]
        }
        frequencies = {} if often is None else {edge: float(often[graph.edge_indices[edge][::-1]]) for edge in taken}
        frequencies = {edge: frequency for edge, frequency in frequencies.items() if not math.isnan(frequency)}
        return CircuitParts.checked(graph, finite_numbers(taken, "score"), frequencies)
    except OSError as error:
        raise BadCircuitFile(f"no circuit can be read from {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCircuitFile(
            f"{path} is no score matrix in MIB's form: {error!r}; wanted the tensors edges_scores and edges_in_graph "
            "as [sender, receiver], and cfg and src_nodes as JSON in the metadata"
        ) from error


def _graph(sizes: Mapping[str, Any], *, has_mlp: bool, frozen_scale: bool = False) -> ComputationalGraph:
    return ComputationalGraph(
        n_layers=sizes["n_layers"],
        n_heads=sizes["n_heads"],
        d_model=sizes["d_model"],
        parallel=sizes["parallel_attn_mlp"],
        has_mlp=has_mlp,
        frozen_scale=frozen_scale or bool(sizes.get("frozen_scale")),
    )
