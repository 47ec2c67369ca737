"""The file beside a circuit with every edge that its search knows of, in the order in which they join, with scores."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from acdc.errors import BadJoiningFile
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.files import write_atomically
from acdc.graphs.nodes import Edge

NAME = "joining.safetensors"
SCHEMA = "acdc.joining/1"


def write(path: Path, graph: ComputationalGraph, joining: Mapping[Edge, float | None]) -> None:
    """Write the edges as [receiver, sender] indices and their scores (NaN for None), 16 bytes an edge.

    Raises: OSError.
    """
    indices = numpy.array([graph.edge_indices[edge] for edge in joining], dtype=numpy.int32).reshape(-1, 2)
    tensors: dict[str, numpy.ndarray[Any, Any]] = {
        "edges": indices,
        "scores": numpy.array(list(joining.values()), dtype=numpy.float64),  # in which None is NaN,
    }
    write_atomically(path, save(tensors, {"schema": SCHEMA, "graph": json.dumps(_shape(graph))}))


def read(path: Path, graph: ComputationalGraph) -> dict[Edge, float | None]:
    """What `write` wrote for this graph.

    Raises: BadJoiningFile when there is none, it is damaged, or of another graph.
    """
    remedy = "discover the circuit again, or give the directory that its discovery wrote"
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            indices, scores = file.get_tensor("edges"), file.get_tensor("scores")
    except FileNotFoundError as error:
        raise BadJoiningFile(
            f"there is no {path}, which says how circuits of other sizes are made; {remedy}"
        ) from error
    except (OSError, SafetensorError) as error:
        raise BadJoiningFile(f"{path} cannot be read: {error}; {remedy}") from error
    if about.get("schema") != SCHEMA:
        raise BadJoiningFile(f"{path} has schema {about.get('schema')!r}, wanted {SCHEMA!r}; {remedy}")
    if about.get("graph") != json.dumps(_shape(graph)):
        raise BadJoiningFile(f"{path} is of another model's graph than the circuit beside it; {remedy}")
    by_index = {index: edge for edge, index in graph.edge_indices.items()}
    try:
        edges = [by_index[row, column] for row, column in indices.tolist()]
    except (KeyError, ValueError) as error:
        raise BadJoiningFile(f"{path} names an edge that the model does not have; {remedy}") from error
    return {edge: None if math.isnan(score) else score for edge, score in zip(edges, scores.tolist(), strict=True)}


def _shape(graph: ComputationalGraph) -> list[object]:
    spans = [list(graph.spans)] if graph.spans else []
    said = [[split.layer, list(split.parts), *([] if split.kind == "mlp" else [split.kind])] for split in graph.splits]
    splits = [said] if graph.splits else []
    reads = ["parts read"] if graph.parts_read else []
    return [graph.n_layers, graph.n_heads, graph.d_model, graph.has_mlp, graph.parallel, *spans, *splits, *reads]
