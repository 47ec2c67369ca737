"""The computational graph of a checkpoint from its config.json alone, without its weights."""

from __future__ import annotations

import json
from pathlib import Path

from acdc.graphs.computation import ComputationalGraph

_LAYERS, _HEADS, _WIDTH = ("n_layer", "num_hidden_layers"), ("n_head", "num_attention_heads"), ("n_embd", "hidden_size")


def graph_of_checkpoint(directory: Path) -> ComputationalGraph | None:
    """The graph that the checkpoint in this directory would have if it were loaded; None where that cannot be told."""
    try:
        config = json.loads((directory / "config.json").read_text("utf-8"))
        layers, heads, width = (
            next(config[key] for key in keys if key in config) for keys in (_LAYERS, _HEADS, _WIDTH)
        )
        kind = config["model_type"]
        parallel = kind == "gpt_neox" and config.get("use_parallel_residual", True)
        return ComputationalGraph(layers, heads, width, parallel=parallel, frozen_scale=kind.startswith("gemma"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration, RuntimeError):
        return None
