"""Whether a head copies: whether what it writes makes the token that it looks at more likely."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.model import Model
from acdc.graphs.model.parts import Norm


def copying_scores(model: Model) -> Float[Tensor, " head"]:
    """For every head the sum of the eigenvalues of its whole OV matrix over the sum of their sizes: 1 is all copying.

    The matrix, W_E W_V W_O W_U with the weights of the norms folded in, is vocab x vocab; its eigenvalues other than 0
    are those of W_O (W_U W_E) W_V, d_head x d_head, taken in float64. What a layer norm subtracts is taken out too;
    0 where a head's matrix is 0. Position embeddings and what other nodes write are left out.

    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits, on copying heads and eigenvalues.
    """
    embedding = model.bridge.embed.original_component.weight.detach().double()
    between = _folded_out(model.unembedding.norm, model.unembedding.weight.double()).T @ embedding  # [d_model, d_model]
    found = []
    for layer in model.layers:
        value, output = layer.attention.value, layer.attention.output
        into = value.weight.to(between.device).double().repeat_interleave(value.shared, dim=0)
        into = _folded_out(layer.attention.norm, into.transpose(1, 2)).transpose(1, 2)
        out = output.weight.to(between.device).double()
        if output.post_norm is not None and output.post_norm.weight is not None:
            out = out * output.post_norm.weight.double()
        small = out @ between @ into
        values = torch.linalg.eigvals(small)
        total = values.abs().sum(-1)
        found.append(torch.where(total > 0, values.real.sum(-1) / total.clamp(min=1e-300), 0))
    return torch.cat(found).cpu()


def _folded_out(norm: Norm, rows: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
    """Rows that read a normed residual stream, as they read what goes into the norm, up to its scale."""
    folded = rows if norm.weight is None else rows * norm.weight.double()
    return folded - folded.mean(-1, keepdim=True) if norm.kind == "layer" else folded
