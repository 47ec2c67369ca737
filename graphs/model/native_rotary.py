"""Rotary embedding as TransformerLens's own models have it: inside their attention, turning neighbouring dimensions.

Ours turns the first half of the rotary dimensions with the second. Scores do not change when the dimensions of queries
and keys are put into another order together, so the weights are, and the tables with them.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def half_split_order(attn: Any, d_head: int) -> Int[Tensor, " d_head"] | None:
    """The order of a head's dimensions in which halves turn as neighbours did; None without such an embedding."""
    rotary = getattr(attn.original_component, "rotary", None)
    if rotary is None:
        return None
    turned = torch.arange(rotary.rotary_dim)
    return torch.cat((turned[0::2], turned[1::2], torch.arange(rotary.rotary_dim, d_head)))


def own_rotation(attn: Any, length: int) -> tuple[Float[Tensor, "1 pos rotary"], Float[Tensor, "1 pos rotary"]] | None:
    """The cosines and sines of an attention layer that keeps them itself, in that order; None for all others."""
    rotary = getattr(attn.original_component, "rotary", None)
    if rotary is None:
        return None
    order = half_split_order(attn, rotary.rotary_dim)
    cos, sin = rotary.cos_cached[:length], rotary.sin_cached[:length]
    return cos[None, :, order], sin[None, :, order]
