"""Keep a Hugging Face model that was loaded in float64 in float64: undo its casts to float32, for exactness tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge


@contextmanager
def exact_float64(bridge: TransformerBridge) -> Iterator[None]:
    """Compute RMS norms and softmax, which the libraries compute in float32 whatever the dtype, in float64.

    Rotary embeddings are left alone: their cosines are rounded to float32, and that is what the model is given.
    """
    norms = {type(m) for m in bridge.original_model.modules() if type(m).__name__.endswith("RMSNorm")}
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(AttentionBridge, "_masked_softmax", _softmax))
        for norm in norms:
            gemma = norm.__name__.startswith("Gemma")
            patches.enter_context(mock.patch.object(norm, "forward", _gemma_norm if gemma else _norm))
        yield


def _softmax(attention: AttentionBridge, scores: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    assert scores.dtype == torch.float64
    return scores.softmax(dim=-1)


def _norm(norm: Any, x: Tensor) -> Tensor:
    return norm.weight * _over_rms(x, norm.variance_epsilon)


def _gemma_norm(norm: Any, x: Tensor) -> Tensor:
    return (1 + norm.weight) * _over_rms(x, norm.eps)


def _over_rms(x: Tensor, eps: float) -> Tensor:
    assert x.dtype == torch.float64
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
