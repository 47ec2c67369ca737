"""What receivers read of what senders write, where each reads few of them: only what is read is added up.

Token by token, so that what the senders write at one token stays in the cache while all receivers read it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_MOST_READ = 0.25
_NUMBERS = 1 << 14
"""Of a tensor of what one sender writes at least; below, a product is done before the edges are listed."""


def sparse_pays(weights: Float[Tensor, "receiver sender"], written: Float[Tensor, "sender batch pos d"]) -> bool:
    """Whether `mixed_sparsely` is faster than a product: on a CPU, where few edges are there, and without gradients."""
    if written.device.type != "cpu" or written.dtype not in (torch.float32, torch.float64):
        return False
    if written[:1].numel() < _NUMBERS or (torch.is_grad_enabled() and (weights.requires_grad or written.requires_grad)):
        return False
    return int(weights.count_nonzero()) <= _MOST_READ * weights.numel()


def mixed_sparsely(
    weights: Float[Tensor, "receiver sender"],
    written: Float[Tensor, "sender batch pos d"],
    onto: Float[Tensor, "*#receiver batch pos d"] | None = None,
    out: Float[Tensor, "receiver batch pos d"] | None = None,
) -> Float[Tensor, "receiver batch pos d"]:
    """The sum of what senders write, with these weights, and of `onto`; in `out`, where it is given."""
    count, (senders, *shape) = len(weights), written.shape
    tokens, width = math.prod(shape[:-1]), shape[-1]
    rows, read = weights.nonzero(as_tuple=True)
    each = torch.arange(tokens)[:, None]
    numbers = (read * tokens + each).flatten()
    ends = rows.bincount(minlength=count).repeat(tokens).cumsum(0)
    starts = torch.cat((ends.new_zeros(1), ends[:-1]))
    carried = weights[rows, read].expand(tokens, -1).flatten()
    table = written.reshape(senders * tokens, width)
    mixed = F.embedding_bag(numbers, table, starts, mode="sum", per_sample_weights=carried)
    by_receiver = mixed.view(tokens, count, width).transpose(0, 1).view(count, *shape)
    if onto is None:
        return by_receiver.contiguous() if out is None else out.copy_(by_receiver)
    return torch.add(by_receiver, onto, out=out)
