"""From gradients at the queries, keys and values of all heads of a layer back to the residual that they read.

Written out by hand since autograd would give their sum alone, and every receiver's own is wanted. The norm's weight is
folded into the projections, and its inner products are taken where they are narrow, of d_head instead of d_model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import assert_never

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.parts import Attention, Norm, Projection


@torch.no_grad()
def pull_back(
    attention: Attention,
    residual: Float[Tensor, "batch pos d_model"],
    made: Sequence[Float[Tensor, "head batch pos d_head"]],
    gradients: Sequence[Float[Tensor, "head batch pos d_head"]],
    out: Float[Tensor, "receiver batch pos d_model"],
    rules: BackwardRules = BackwardRules.GRADIENT,
) -> None:
    """Write to `out` the gradient at what each receiver read: the queries of all heads, then the keys, then the values.

    `residual` is what all of them read, `made` the linear projections of it and `gradients` the gradients at these. In
    the precision of `out`, at least float32. By rules that freeze norms, their scale is a constant.
    """
    projections = (attention.query, attention.key, attention.value)
    norm, wide = attention.norm, residual.to(out.dtype)
    centred = wide - wide.mean(-1, keepdim=True) if norm.kind == "layer" else wide
    inverse = torch.rsqrt(centred.square().mean(-1, keepdim=True) + norm.eps)
    normed, heads = centred * inverse, len(made[0])
    for start, projection, linear, gradient in zip(
        range(0, len(out), heads), projections, made, gradients, strict=True
    ):
        part = out[start : start + heads]
        _through_weights(norm, projection, gradient, part)
        if norm.kind != "none" and rules.freezes_norms:
            part.mul_(inverse)
        elif norm.kind != "none":
            radial = (gradient.to(out.dtype) * _without_bias(norm, projection, linear).to(out.dtype)).sum(
                -1, keepdim=True
            )
            part.addcmul_(normed, radial, value=-1 / normed.shape[-1]).mul_(inverse)


def _through_weights(
    norm: Norm,
    projection: Projection,
    gradient: Float[Tensor, "head batch pos d_head"],
    out: Float[Tensor, "head batch pos d_model"],
) -> None:
    """The gradient at the residual, centred and scaled to a mean square of 1, were that scale a constant."""
    weight = projection.weight.to(gradient.device)
    match norm.kind:
        case "none":
            pass
        case "rms" | "layer":
            weight = weight if norm.weight is None else weight * norm.weight[:, None]
            weight = weight - weight.mean(1, keepdim=True) if norm.kind == "layer" else weight
        case _:
            assert_never(norm.kind)
    flat = gradient.reshape(len(weight), -1, gradient.shape[-1])
    target = out.view(len(weight), -1, out.shape[-1])
    if out.dtype == flat.dtype:
        torch.bmm(flat, weight.transpose(1, 2), out=target)
    else:
        target.copy_(torch.bmm(flat, weight.transpose(1, 2)))


def _without_bias(
    norm: Norm, projection: Projection, linear: Float[Tensor, "head batch pos d_head"]
) -> Float[Tensor, "head batch pos d_head"]:
    """The part of the linear projections that grows with the scaled residual."""
    constant = projection.bias
    if norm.bias is not None:
        shifted = norm.bias @ projection.weight.to(linear.device)
        constant = shifted if constant is None else constant + shifted
    if constant is None:
        return linear
    return linear - constant.repeat_interleave(projection.shared, 0)[:, None, None]
