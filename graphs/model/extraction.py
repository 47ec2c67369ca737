"""From a TransformerLens bridge to functional parts, refusing what we would not compute as the model does.

Here architectures differ. A new norm is a kind in `graphs.model.parts.Norm` and a case in `_norm_parts`; the shape of a
new model type's graph is listed in `graphs.configuration` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import UnsupportedModel
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.mlp import FeedForward, Linear, Mlp, WholeModule
from acdc.graphs.model.parts import Attention, AttentionScores, HeadNorm, Norm, NormKind, OutputProjection, Projection
from acdc.graphs.model.unembedding import Unembedding

# The model's own tanh-gelu is a chain of elementwise steps; PyTorch's is the same function in one.
_TANH_GELUS = ("NewGELUActivation", "GELUTanh", "PytorchGELUTanh")

_ACTIVATIONS = ("act", "act_fn", "activation_fn", "gelu_impl")
"""What MLPs call the function between their linear maps."""

_SCALES = {"scaling": 1, "inv_norm_factor": 1, "softmax_scale": 1, "scale": -1, "scale_attn": -1}
"""What attention calls the number that it multiplies scores with (1) or divides them by (-1)."""


def graph_of(bridge: Any, layers: Sequence[Layer]) -> ComputationalGraph:
    """The computational graph of a bridge with these layers.

    Raises: UnsupportedModel when they are not all of one shape.
    """
    shapes = [(len(layer.attention.output.weight), layer.mlp is not None) for layer in layers]
    odd = next((index for index, shape in enumerate(shapes) if shape != shapes[0]), None)
    if odd is not None:
        raise UnsupportedModel(
            f"layer {odd} of the model has {_shape(*shapes[odd])}, but layer 0 has {_shape(*shapes[0])}; wanted layers "
            "of one shape"
        )
    n_heads, has_mlp = shapes[0]
    joint = any(part.norm.joint for layer in layers for part in (layer.attention.query, layer.attention.key))
    return ComputationalGraph(
        n_layers=len(layers),
        n_heads=n_heads,
        d_model=bridge.cfg.d_model,
        has_mlp=has_mlp,
        parallel=has_mlp and is_parallel(bridge.blocks[0]),
        frozen_scale=joint or any(layer.attention.output.post_norm is not None for layer in layers),
    )


def _shape(heads: int, has_mlp: bool) -> str:
    return f"{heads} heads and {'an' if has_mlp else 'no'} MLP"


def is_parallel(block: Any) -> bool:
    """Whether attention and MLP of a layer read the same residual stream."""
    return type(block).__name__ == "ParallelBlockBridge"


def residual_scale(block: Any) -> float:
    """What a layer multiplies by before it adds to the residual stream (Granite)."""
    return float(getattr(block.original_component, "residual_multiplier", 1.0))


def layer_of(block: Any) -> Layer:
    """One layer's parts.

    Raises: UnsupportedModel.
    """
    return Layer(_attention(block), _mlp(block) if hasattr(block, "mlp") else None)


def unembedding_of(bridge: Any) -> Unembedding:
    """The final norm and unembedding; what logits are multiplied by is in the norm."""
    weight, bias = _linear(bridge.unembed)
    config = text_config(bridge)
    cap = getattr(config, "final_logit_softcapping", None) or getattr(
        bridge.original_model, "output_logits_soft_cap", 0
    )
    norm = _norm(bridge.ln_final)
    factor = getattr(config, "logit_scale", None) or 1 / getattr(config, "logits_scaling", 1.0)
    if factor != 1.0:
        scaled = torch.full_like(weight[0], factor) if norm.weight is None else norm.weight * factor
        norm = replace(norm, weight=scaled, bias=None if norm.bias is None else norm.bias * factor)
    return Unembedding(norm, weight, bias, cap if cap and cap > 0 else None)


def text_config(bridge: Any) -> Any:
    """The configuration of the language model, which in some models is part of a larger one; None for native ones."""
    config: Any = getattr(bridge.original_model, "config", None)
    return None if config is None else config.get_text_config()


def _attention(block: Any) -> Attention:
    attn, inner = block.attn, block.attn.original_component
    n_heads, d_model, d_head = attn.W_Q.shape

    def projection(weight: Tensor, bias: Tensor | None, norm: str | None) -> Projection:
        weight = weight.detach().contiguous()
        bias = None if bias is None else bias.detach().reshape(len(weight), d_head)
        module = getattr(attn, norm, None) if norm else None
        clip = getattr(getattr(inner, "config", None), "clip_qkv", None) or getattr(inner, "clip_qkv", None)
        return Projection(weight, bias, _head_norm(module, len(weight), d_head), n_heads // len(weight), clip)

    cap = getattr(inner, "attn_logit_softcapping", None) or getattr(inner, "attn_scores_soft_cap", None)
    output, output_bias, factor = attn.W_O.detach(), getattr(attn, "b_O", None), residual_scale(block)
    post_norm = _norm(block.ln1_post) if hasattr(block, "ln1_post") else None
    if post_norm is not None and (post_norm.kind != "rms" or output_bias is not None):
        raise UnsupportedModel(
            "a norm after the sum of the heads is supported if it is an RMSNorm and only the heads are in the sum; "
            f"got {'another norm' if output_bias is None else 'an output bias'}"
        )
    output_bias = output.new_zeros(d_model) if output_bias is None else output_bias.detach()
    if factor != 1.0:
        output, output_bias = output * factor, output_bias * factor
    return Attention(
        norm=_norm(block.ln1) if hasattr(block, "ln1") else Norm("none"),
        query=projection(attn.W_Q, attn.b_Q, "q_norm"),
        key=projection(attn.W_K, attn.b_K, "k_norm"),
        value=projection(attn.W_V, attn.b_V, None),
        output=OutputProjection(output.reshape(n_heads, d_head, d_model).contiguous(), output_bias, post_norm),
        scores=AttentionScores(_score_scale(inner), cap if cap and cap > 0 else None),
    )


def _score_scale(inner: Any) -> float:
    """What scores are multiplied by; an attention that keeps no such number takes them as they are (GPT-Neo)."""
    found = (float(getattr(inner, name)) ** power for name, power in _SCALES.items() if hasattr(inner, name))
    return next(found, 1.0)


def _head_norm(module: Any, groups: int, d_head: int) -> HeadNorm:
    """The norm of queries or keys: one for all heads alike, one with weights for each, or one of all together."""
    if module is None:
        return HeadNorm(Norm("none"))
    inner = getattr(module, "original_component", module)
    each = list(getattr(inner, "norms", ()))  # StableLM: as many modules as heads
    kind, weight, bias, eps = _norm_parts(each[0] if each else inner)
    if each and weight is not None:
        weight = torch.stack([part.weight.detach() for part in each])
    if weight is None or weight.shape == (d_head,):
        return HeadNorm(Norm(kind, weight, bias, eps))
    return HeadNorm(Norm(kind, None, None, eps), weight.reshape(groups, d_head), joint=weight.ndim == 1)


def _mlp(block: Any) -> Mlp:
    shared = is_parallel(block) and not hasattr(block, "ln2")
    norm = getattr(block, "ln1" if shared else "ln2", None)
    return Mlp(
        norm=Norm("none") if norm is None else _norm(norm),
        inner=_feed_forward(block.mlp) or WholeModule.of(block.mlp.original_component),
        post_norm=_norm(block.ln2_post) if hasattr(block, "ln2_post") else Norm("none"),
        scale=residual_scale(block),
    )


def _feed_forward(mlp: Any) -> FeedForward | None:
    """Linear maps with a function between them, if that is what the module is; None for anything else."""
    inner = mlp.original_component
    activation = next((getattr(inner, name) for name in _ACTIVATIONS if hasattr(inner, name)), None)
    if activation is None or not hasattr(mlp, "in") or not hasattr(mlp, "out"):
        return None
    if type(activation).__name__ in _TANH_GELUS:
        activation = partial(F.gelu, approximate="tanh")
    return FeedForward(
        into=_linear(getattr(mlp, "in")),
        gate=_linear(mlp.gate) if hasattr(mlp, "gate") else None,
        out=_linear(mlp.out),
        activation=activation,
        norm=Norm("none") if getattr(inner, "ln", None) is None else _norm(mlp.ln),
    )


def _linear(module: Any) -> Linear:
    inner = getattr(module, "original_component", module)
    weight, bias = inner.weight.detach(), getattr(inner, "bias", None)
    if type(inner).__name__ == "Conv1D":  # GPT-2 keeps its matrices the other way round
        weight = weight.T
    return weight, None if bias is None else bias.detach()


def _norm(module: Any) -> Norm:
    return Norm(*_norm_parts(module))


def _norm_parts(module: Any) -> tuple[NormKind, Tensor | None, Tensor | None, float]:
    """What kind of norm a module is, with its weight, its bias and its epsilon.

    Raises: UnsupportedModel.
    """
    inner = getattr(module, "original_component", module)
    name = type(inner).__name__
    weight, bias = (
        None if p is None else p.detach() for p in (getattr(inner, "weight", None), getattr(inner, "bias", None))
    )
    if isinstance(inner, torch.nn.Identity):
        return "none", None, None, 0.0
    if weight is not None and (name.startswith("Gemma") or name.endswith("1P")):
        weight = 1 + weight  # Gemma and Nemotron store the difference from one
    if "LayerNorm" in name:
        return "layer", weight, bias, _epsilon(inner, 1e-5)
    if "RMSNorm" in name:
        return "rms", weight, None, _epsilon(inner, 1e-6)
    raise UnsupportedModel(f"the norm {name} is not supported; wanted LayerNorm, RMSNorm or none")


def _epsilon(inner: Any, usual: float) -> float:
    """The norm's epsilon; `usual` where it keeps none (OLMo)."""
    return next((float(getattr(inner, key)) for key in ("variance_epsilon", "eps") if hasattr(inner, key)), usual)
