"""What the weights of a checkpoint are, from its config.json and the headers of its files: no weight is read."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.configuration import graph_of_checkpoint

_OF_A_LAYER = re.compile(r"\.\d+\.")
_OTHER_SENSES = re.compile(r"vision|visual|audio|image", re.IGNORECASE)
_ATTENTION = re.compile(r"att(entio)?n", re.IGNORECASE)
_OF_EXPERTS = re.compile(r"(?<!shared_)experts\.")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")


@dataclass(frozen=True)
class ModelShape:
    """A checkpoint's graph and how many numbers it has: in all, and in the matrices of its layers.

    `attention` are those of all layers' attention, `mlp` those of all layers' MLPs that one token goes through, which
    of a mixture are the experts that it is sent to; `d_head` is the width of a head.
    """

    graph: ComputationalGraph
    parameters: int
    attention: int
    mlp: int
    d_head: int
    vocabulary: int


def shape_of_checkpoint(directory: Path) -> ModelShape | None:
    """The shape of the checkpoint in a directory; None where configuration and headers do not tell."""
    graph = graph_of_checkpoint(directory)
    if graph is None:
        return None
    try:
        config = json.loads((directory / "config.json").read_text("utf-8"))
        config = config.get("text_config", config)
        part = _chosen_part(config)
        numbers: Counter[str] = Counter()
        for name, shape in _tensors(directory):
            numbers["all"] += math.prod(shape)
            if len(shape) < 2 or name.endswith("bias") or not _OF_A_LAYER.search(name) or _OTHER_SENSES.search(name):
                continue
            kind = "attention" if _ATTENTION.search(name) else "mlp"
            numbers[kind] += round(math.prod(shape) * (part if _OF_EXPERTS.search(name) else 1))
        d_head = config.get("head_dim") or graph.d_model // graph.n_heads
        vocabulary = config["vocab_size"]
        if not all(type(count) is int and count > 0 for count in (numbers["all"], d_head, vocabulary)):
            return None
        return ModelShape(graph, numbers["all"], numbers["attention"], numbers["mlp"], d_head, vocabulary)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _tensors(directory: Path) -> Iterator[tuple[str, list[int]]]:
    """The name and the shape of every tensor.

    Raises: ValueError where there is none, or a file is damaged.
    """
    from safetensors import SafetensorError, safe_open  # which the graph alone can do without

    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{directory} has no safetensors")
    for path in files:
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118  # it is no mapping
                    yield name, file.get_slice(name).get_shape()
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged") from error


def _chosen_part(config: dict[str, Any]) -> float:
    """The part of the experts of a layer that one token is sent to."""
    every = next((config[key] for key in _EXPERTS if config.get(key)), 1)
    chosen = next((config[key] for key in _CHOSEN if config.get(key)), every)
    return min(1.0, float(chosen / every))
