"""Tiny random models of TransformerLens's own native architecture, as bridges, each from a seed."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import native as _native  # noqa: F401  # it adds boot_native to the class

from acdc.graphs.model import Model, from_bridge
from tests.shared import SharedModels

Native = Literal[
    "attention_only", "attention_only_bare", "relu", "gelu_bare", "gelu_new", "solu_ln", "bidirectional", "rotary"
]
NATIVES: tuple[Native, ...] = get_args(Native)

_MODELS = SharedModels()


def native_model(name: Native, **changes: Any) -> Model:
    """The model of `native_bridge` with those arguments, for tests that only read it: it is made once."""
    key = (name, *sorted(changes.items()))
    return _MODELS.get(key, lambda: from_bridge(native_bridge(name, **changes)))


def native_bridge(
    name: Native, *, dtype: torch.dtype = torch.float64, seed: int = 0, **changes: Any
) -> TransformerBridge:
    """The bridge of that name: `bare` is without norms, the others have LayerNorm with random weights and biases.

    `changes` are fields of the config that differ from the usual ones, such as `n_layers=3`.
    """
    chosen: dict[Native, dict[str, Any]] = {
        "attention_only": {"attn_only": True},
        "attention_only_bare": {"attn_only": True, "normalization_type": None, "attention_dir": "bidirectional"},
        "relu": {"act_fn": "relu"},
        "gelu_bare": {"act_fn": "gelu", "normalization_type": None},
        "gelu_new": {"act_fn": "gelu_new"},
        "solu_ln": {"act_fn": "solu_ln"},
        "bidirectional": {"act_fn": "gelu", "attention_dir": "bidirectional"},
        "rotary": {"act_fn": "gelu", "positional_embedding_type": "rotary"},
    }
    size = {"n_layers": 2, "n_heads": 4, "d_model": 16, "d_head": 4, "d_mlp": 24, "n_ctx": 32, "d_vocab": 64}
    norm = {"normalization_type": "LN"}
    bridge: TransformerBridge = TransformerBridge.boot_native({**size, **norm, **chosen[name], **changes}, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in bridge.original_model.named_parameters():
            norm_weight = parameter.ndim == 1 and parameter_name.endswith("weight")
            noise = torch.empty_like(parameter).normal_(std=0.4, generator=generator)
            parameter.copy_(noise + (1.0 if norm_weight else 0.0))
    return bridge
