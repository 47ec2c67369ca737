"""From a TransformerLens bridge to functional parts, refusing what we would not compute as the model does."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import UnsupportedModel
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.native_rotary import half_split_order
from acdc.graphs.model.parts import Attention, Mlp, Norm, Projection, Unembedding

NATIVE = "TransformerLensNative"
SUPPORTED = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", NATIVE)

# The model's own tanh-gelu is a chain of elementwise steps; PyTorch's is the same function in one.
_TANH_GELUS = ("NewGELUActivation", "GELUTanh", "PytorchGELUTanh")


def architecture(bridge: Any) -> str:
    """The name of the bridge's architecture, as in `SUPPORTED`.

    Raises: UnsupportedModel, naming the field of the configuration that is not supported.
    """
    config = getattr(bridge.original_model, "config", None)
    name: str = getattr(config, "model_type", None) or str(bridge.cfg.architecture)
    if name not in SUPPORTED:
        raise UnsupportedModel(
            f"model_type={name!r} ({bridge.cfg.architecture}) is not supported; wanted one of {', '.join(SUPPORTED)}"
        )
    if name in ("gemma2", "gemma3_text") and getattr(config, "attention_bias", False):
        raise UnsupportedModel("attention_bias=True before a post-attention norm is not supported; wanted False")
    if getattr(config, "quantization_config", None) is not None:
        raise UnsupportedModel("quantization_config is not supported; load the model unquantised")
    return name


def graph_of(bridge: Any) -> ComputationalGraph:
    """The computational graph of a supported bridge."""
    config = getattr(bridge.original_model, "config", None)
    has_mlp = hasattr(bridge.blocks[0], "mlp")
    return ComputationalGraph(
        n_layers=len(bridge.blocks),
        n_heads=bridge.blocks[0].attn.W_Q.shape[0],
        d_model=bridge.cfg.d_model,
        has_mlp=has_mlp,
        parallel=has_mlp and bool(getattr(config, "use_parallel_residual", False)),
        frozen_scale=hasattr(bridge.blocks[0], "ln1_post"),
    )


def layer_of(block: Any) -> Layer:
    """One layer's parts."""
    return Layer(_attention(block), _mlp(block) if hasattr(block, "mlp") else None)


def unembedding_of(bridge: Any) -> Unembedding:
    """The final norm and unembedding."""
    weight, bias = _linear(bridge.unembed)
    config = getattr(bridge.original_model, "config", None)
    cap = getattr(config, "final_logit_softcapping", None) or getattr(
        bridge.original_model, "output_logits_soft_cap", 0
    )
    return Unembedding(_norm(bridge.ln_final), weight, bias, cap if cap and cap > 0 else None)


def _attention(block: Any) -> Attention:
    attn, inner = block.attn, block.attn.original_component
    n_heads, d_model, d_head = attn.W_Q.shape

    order = half_split_order(attn, d_head)

    def projection(weight: Tensor, bias: Tensor | None, norm: str | None) -> Projection:
        weight = weight.detach()
        bias = None if bias is None else bias.detach().reshape(weight.shape[0], d_head)
        if order is not None and norm is not None:  # queries and keys, which turn with their positions
            weight, bias = weight[..., order], None if bias is None else bias[..., order]
        repeats = n_heads // weight.shape[0]
        if repeats > 1:  # grouped-query attention: one key and value per query head, so that each has its own edges
            weight = weight.repeat_interleave(repeats, dim=0)
            bias = None if bias is None else bias.repeat_interleave(repeats, dim=0)
        module = getattr(attn, norm, None) if norm else None
        return Projection(weight.contiguous(), bias, Norm("none") if module is None else _norm(module))

    native_scale = getattr(inner, "scale", None)
    scale = inner.scaling if hasattr(inner, "scaling") else 1.0 / native_scale if native_scale else d_head**-0.5
    cap = getattr(inner, "attn_logit_softcapping", None) or getattr(inner, "attn_scores_soft_cap", None)
    output_bias = getattr(attn, "b_O", None)
    return Attention(
        norm=_norm(block.ln1),
        query=projection(attn.W_Q, attn.b_Q, "q_norm"),
        key=projection(attn.W_K, attn.b_K, "k_norm"),
        value=projection(attn.W_V, attn.b_V, None),
        output=attn.W_O.detach().reshape(n_heads, d_head, d_model).contiguous(),
        output_bias=attn.W_O.new_zeros(d_model) if output_bias is None else output_bias.detach(),
        scale=float(scale),
        soft_cap=cap if cap and cap > 0 else None,
        post_norm=_norm(block.ln1_post) if hasattr(block, "ln1_post") else None,
    )


def _mlp(block: Any) -> Mlp:
    mlp, inner = block.mlp, block.mlp.original_component
    activation = getattr(inner, "act", None) or inner.act_fn
    if type(activation).__name__ in _TANH_GELUS:
        activation = partial(F.gelu, approximate="tanh")
    return Mlp(
        norm=_norm(block.ln2),
        into=_linear(getattr(mlp, "in")),
        gate=_linear(mlp.gate) if hasattr(mlp, "gate") else None,
        out=_linear(mlp.out),
        activation=activation,
        inner_norm=Norm("none") if getattr(inner, "ln", None) is None else _norm(mlp.ln),
        post_norm=_norm(block.ln2_post) if hasattr(block, "ln2_post") else Norm("none"),
    )


def _linear(module: Any) -> tuple[Tensor, Tensor | None]:
    inner = getattr(module, "original_component", module)
    weight, bias = inner.weight.detach(), getattr(inner, "bias", None)
    if type(inner).__name__ == "Conv1D":  # GPT-2 keeps its matrices the other way round
        weight = weight.T
    return weight, None if bias is None else bias.detach()


def _norm(module: Any) -> Norm:
    inner = getattr(module, "original_component", module)
    name = type(inner).__name__
    weight, bias = (
        None if p is None else p.detach() for p in (getattr(inner, "weight", None), getattr(inner, "bias", None))
    )
    if isinstance(inner, torch.nn.Identity):
        return Norm("none")
    if isinstance(inner, torch.nn.LayerNorm) or name == "NativeLayerNormPre":
        return Norm("layer", weight, bias, inner.eps)
    if "RMSNorm" in name:
        eps = next(float(getattr(inner, key)) for key in ("variance_epsilon", "eps") if hasattr(inner, key))
        return Norm("rms", 1 + weight if weight is not None and name.startswith("Gemma") else weight, None, eps)
    raise UnsupportedModel(f"the norm {name} is not supported; wanted LayerNorm, RMSNorm or none")
