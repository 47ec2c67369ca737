"""Sums of exponentials of nearly all logits, roughly, where the processor multiplies bfloat16 many times faster.

A product of a row w and a displacement v is worked out of both rounded to bfloat16, w' and v', added up in float32 and
rounded to bfloat16. Before that last rounding it is off by |w - w'| |v'| + |w| |v - v'| + n 2^-23 |w'| |v'| at most,
with n numbers in a row (Cauchy and Schwarz; Higham 2002, section 3.1). How far w' and v' are off is measured: roundings
of many numbers amount to half of what they could, in the length of a row. By the last one the product x is off by u |x|
at most, with u = 2^-8. Where x > 0 that is no more than u times the greatest x; where x < 0, exp(x) is the smaller the
more x is off, and so off by u exp(-1) at most. So a sum of q exp(x) is off by u exp(-1) times the sum of q, and both by
the exponentials of all the rest.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.model.unembedding import RoughRows

_ROUNDING = 1.01 * 2.0**-8
"""By which part of itself a product is off by its own rounding, in terms of what it is rounded to."""
_STATES, _NUMBERS, _FEWEST, _MOST = 512, 1 << 19, 2048, 8192
"""Of how many states times prompts exponentials are held at once, and of how many tokens, so that there are about so
many numbers, which stay in the cache, and not too many steps.
"""
_LOST = (_MOST + 256) * 2.0**-23
"""By which part a sum of exponentials in float32 may be off: the adding up, rounded arguments and exponentials."""
_TINY = 1e-36
"""What an exponential that float32 rounds to 0 may have been at most."""


def suits(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether rough logits are much faster than those of this precision here: on CPUs with tiles for bfloat16."""
    if device.type != "cpu" or dtype != torch.float32 or width > 10_000:
        return False
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16"))


def log_bounds(
    rough: RoughRows,
    reach: float,
    log_weights: Float[Tensor, "vocab batch"],
    moved: Float[Tensor, "state batch d_model"],
) -> tuple[Float[Tensor, "state batch"], Float[Tensor, "state batch"]]:
    """What the logarithm of the sum over tokens of exp(log weight + row . displacement) is at least and at most.

    `reach` is the length of the longest row whose log weight is not -inf.
    """
    number = moved.to(torch.bfloat16)
    length, lost = number.double().norm(dim=-1), (moved - number).norm(dim=-1)
    width = moved.shape[-1] * 2.0**-23
    off = reach * ((rough.off + width * (1 + rough.off)) * length + lost)
    sums, greatest = _sums(rough.rows, log_weights, number)
    off += _ROUNDING * greatest + _LOST
    small = _ROUNDING / math.e * log_weights.double().exp().sum(0)
    least = (sums * (-off).exp() - small).clamp(min=0).log()
    most = ((sums + small + _TINY * len(log_weights)) * off.exp()).log()
    return torch.where(least < math.inf, least, -math.inf), most  # where exponentials overflow, nothing is said


def _sums(
    rows: Float[Tensor, "vocab d_model"],
    log_weights: Float[Tensor, "vocab batch"],
    moved: Float[Tensor, "state batch d_model"],
) -> tuple[Float[Tensor, "state batch"], Float[Tensor, "state batch"]]:
    """The sums as they come out, in float64, and the greatest product, or 0 where all are less."""
    states, batch = moved.shape[:2]
    total = torch.zeros(states, batch, dtype=torch.float64, device=moved.device)
    greatest = torch.zeros_like(total)
    at_once = max(1, _STATES // batch)
    for first in range(0, states, at_once):
        some = slice(first, first + at_once)
        displacements = moved[some].flatten(0, 1).T
        together = min(_MOST, max(_FEWEST, _NUMBERS // displacements.shape[1]))
        for start in range(0, len(rows), together):
            tokens = slice(start, start + together)
            products = (rows[tokens] @ displacements).view(-1, len(moved[some]), batch)
            # what is not negative is in order also as whole numbers, of which the greatest is found six times as fast
            highest = products.view(torch.int16).amax(0).clamp(min=0).view(torch.bfloat16)
            greatest[some] = torch.maximum(greatest[some], highest)
            total[some] += products.float().add_(log_weights[tokens, None]).exp_().sum(0)
    return total, greatest
