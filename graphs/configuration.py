"""The computational graph of a checkpoint from its config.json alone, without its weights: model types by shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from acdc.graphs.computation import ComputationalGraph

_LAYERS = ("n_layer", "num_hidden_layers", "num_layers", "n_layers")
_HEADS = ("n_head", "num_attention_heads", "num_heads", "n_heads")
_WIDTH = ("n_embd", "hidden_size", "d_model")

_SEQUENTIAL = (
    *("apertus", "arcee", "bloom", "ernie4_5", "gemma", "glm", "gpt2", "gpt_bigcode", "gpt_neo", "granite"),
    *("granitemoe", "llama", "mistral", "mixtral", "mpt", "nemotron", "olmo", "opt", "phi3", "qwen2", "qwen2_moe"),
    *("qwen3", "qwen3_moe", "seed_oss", "smollm3", "starcoder2"),
)
_SPANNED = ("exaone4", "gemma2", "gemma3", "gemma3_text", "glm4", "olmo2", "olmo3", "olmoe")
"""Those with norms that span heads."""

_PARALLEL = ("codegen", "cohere", "cohere2", "gptj", "phi")
_EITHER = {
    "falcon": ("parallel_attn", True),
    "gpt_neox": ("use_parallel_residual", True),
    "stablelm": ("use_parallel_residual", False),
}
"""Those with a field that says whether layers are parallel, and what it is where it is missing."""


def graph_of_checkpoint(directory: Path) -> ComputationalGraph | None:
    """The graph that the checkpoint in this directory would have if it were loaded; None where that cannot be told."""
    try:
        config = json.loads((directory / "config.json").read_text("utf-8"))
        config = config.get("text_config", config)
        layers, heads, width = (
            next(config[key] for key in keys if key in config) for keys in (_LAYERS, _HEADS, _WIDTH)
        )
        kind = config["model_type"]
        parallel = _is_parallel(kind, config)
        if parallel is None:
            return None
        return ComputationalGraph(layers, heads, width, parallel=parallel, frozen_scale=kind in _SPANNED)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration, RuntimeError):
        return None


def _is_parallel(kind: str, config: dict[str, Any]) -> bool | None:
    """Whether layers are parallel; None for architectures that are not listed here."""
    if kind in _EITHER:
        field, usual = _EITHER[kind]
        return bool(config.get(field, usual))
    return None if kind not in (*_SEQUENTIAL, *_SPANNED, *_PARALLEL) else kind in _PARALLEL
