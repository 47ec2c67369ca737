"""Sums of exponentials of nearly all logits, roughly, where the processor multiplies bfloat16 many times faster.

A product of a row w and a displacement v, both rounded to bfloat16, added up in float32 and rounded to bfloat16 is off
by ((1 + u)^3 (1 + n 2^-23) - 1) |w| |v| at most, with u = 2^-8 and n numbers in a row: a rounding of each factor, one
of the result, and the adding up, by Cauchy and Schwarz (Higham 2002, section 3.1). `OFF` is more than that for n up to
10,000. As every token is off by at most so much times the greatest |w|, the sum is off by the exponential of that.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

OFF = 2.0**-6
"""How far a rough product may be off, by |w| |v|."""
_TOKENS, _STATES = 2048, 512
"""Of how many tokens and states times prompts exponentials are held at once, so that they stay in the cache."""
LOST = (_TOKENS + 256) * 2.0**-23
"""By which part a sum of exponentials in float32 may be off: the adding up, rounded arguments and exponentials."""
TINY = 1e-36
"""What an exponential that float32 rounds to 0 may have been at most."""


def suits(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether rough logits are much faster than those of this precision here: on CPUs with tiles for bfloat16."""
    if device.type != "cpu" or dtype != torch.float32 or width > 10_000:
        return False
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16"))


def rough_sums(
    rows: Float[Tensor, "vocab d_model"],
    log_weights: Float[Tensor, "vocab batch"],
    moved: Float[Tensor, "state batch d_model"],
) -> Float[Tensor, "state batch"]:
    """The sum over tokens of exp(log weight + row . displacement), in float64, off by `OFF`, `LOST` and `TINY`.

    `rows` are in bfloat16.
    """
    states, batch = moved.shape[:2]
    total = moved.new_zeros(states, batch, dtype=torch.float64)
    at_once = max(1, _STATES // batch)
    for first in range(0, states, at_once):
        some = slice(first, first + at_once)
        displacements = moved[some].bfloat16().flatten(0, 1).T
        for start in range(0, len(rows), _TOKENS):
            tokens = slice(start, start + _TOKENS)
            products = (rows[tokens] @ displacements).float().view(-1, len(moved[some]), batch)
            total[some] += products.add_(log_weights[tokens, None]).exp_().sum(0)
    return total
