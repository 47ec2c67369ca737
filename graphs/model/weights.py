"""A model from the matrices of a bare transformer: no norms, no biases, ReLU, positions embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.model.loading import from_bridge
from acdc.graphs.model.transformer import Model


@dataclass(frozen=True)
class BareLayer:
    """The matrices of one layer; those of attention head by head, scores being divided by the root of `d_head`."""

    query: Float[Tensor, "head d_model d_head"]
    key: Float[Tensor, "head d_model d_head"]
    value: Float[Tensor, "head d_model d_head"]
    output: Float[Tensor, "head d_head d_model"]
    mlp_in: Float[Tensor, "d_model d_mlp"]
    mlp_out: Float[Tensor, "d_mlp d_model"]


@dataclass(frozen=True)
class BareWeights:
    """The matrices of a whole model, all layers of one shape; `causal` says that no position reads a later one."""

    tokens: Float[Tensor, "token d_model"]
    positions: Float[Tensor, "context d_model"]
    layers: tuple[BareLayer, ...]
    unembedding: Float[Tensor, "d_model vocab"]
    causal: bool = True


def from_weights(
    weights: BareWeights,
    name: str,
    tokenizer: Any = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Model:
    """The model with these weights, as a bridge of TransformerLens's own architecture and as ours.

    Raises: UnsupportedModel.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.sources import native  # noqa: F401  # it adds boot_native to the class

    n_heads, d_model, d_head = weights.layers[0].query.shape
    config = {
        "n_layers": len(weights.layers),
        "n_heads": n_heads,
        "d_model": d_model,
        "d_head": d_head,
        "d_mlp": weights.layers[0].mlp_in.shape[1],
        "n_ctx": len(weights.positions),
        "d_vocab": len(weights.tokens),
        "d_vocab_out": weights.unembedding.shape[1],
        "act_fn": "relu",
        "normalization_type": None,
        "attention_dir": "causal" if weights.causal else "bidirectional",
        "seed": 0,  # all its numbers are replaced, but drawing them must not disturb the caller's generator
    }
    bridge: Any = TransformerBridge.boot_native(config, device=device, dtype=dtype)
    ours = bridge.original_model
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
        ours.tok_embed.weight.copy_(weights.tokens)
        ours.pos.weight.copy_(weights.positions)
        ours.head.weight.copy_(weights.unembedding.T)
        for block, layer in zip(bridge.blocks, weights.layers, strict=True):
            for module, matrix in ((block.attn.q, layer.query), (block.attn.k, layer.key), (block.attn.v, layer.value)):
                module.weight.copy_(matrix.transpose(1, 2).flatten(0, 1))
            block.attn.o.weight.copy_(layer.output.flatten(0, 1).T)
            getattr(block.mlp, "in").weight.copy_(layer.mlp_in.T)
            block.mlp.out.weight.copy_(layer.mlp_out.T)
    return from_bridge(bridge, name, tokenizer)
