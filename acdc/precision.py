"""Numbers to decide by: computed at least in single precision, and finite, or what produced them is told."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import NotFinite
from graphs.nodes import Edge


def wide(values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The values in float32 where they are in half precision, else themselves."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def finite(values: Float[Tensor, "*any"], what: str) -> Float[Tensor, "*any"]:
    """The values themselves; `what` they are goes into the message.

    Raises: NotFinite when one of them is NaN or infinite.
    """
    wrong = values.detach()[~values.isfinite()]
    if len(wrong):
        raise _not_finite(what, f"{float(wrong[0])} for {len(wrong):,} of {values.numel():,} numbers")
    return values


def finite_scores(scores: Mapping[Edge, float]) -> None:
    """Make sure that edges can be ordered by their scores.

    Raises: NotFinite when one of them is NaN or infinite.
    """
    if wrong := [edge for edge, score in scores.items() if not math.isfinite(score)]:
        got = f"{scores[wrong[0]]} for {wrong[0].name}, {len(wrong):,} of {len(scores):,} scores"
        raise _not_finite("the scores of edges", got)


def _not_finite(what: str, got: str) -> NotFinite:
    return NotFinite(
        f"{what} cannot be compared: got {got}, wanted finite numbers; use a wider precision (--dtype float32 or "
        "float64), and where that does not help look for weights that are not finite"
    )
