"""Numbers to decide by: computed at least in single precision, and finite, or what produced them is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import NotFinite
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.tasks.metrics import AbstractMetric, Targets


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


def finite_metric(
    metric: AbstractMetric, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets, model: Model
) -> Float[Tensor, "*circuit batch"]:
    """What every row adds to a metric, in float64 where a narrower precision does not suffice.

    Finite logits have finite values then. Whose logits they are goes into the message.

    Raises: NotFinite when that does not suffice either.
    """
    values = metric(logits, targets)
    if not values.isfinite().all():
        values = metric(logits.double(), targets)
    return finite(values, f"the {metric.name} of {model!r}")


def finite_scores(scores: Mapping[Edge, float]) -> None:
    """Make sure that edges can be ordered by their scores.

    Raises: NotFinite when one of them is NaN or infinite.
    """
    if wrong := [edge for edge, score in scores.items() if not np.isfinite(score)]:
        got = f"{scores[wrong[0]]} for {wrong[0].name}, {len(wrong):,} of {len(scores):,} scores"
        raise _not_finite("the scores of edges", got)


def require_finite(what: str, *numbers: float | Sequence[float] | numpy.typing.NDArray[np.float64]) -> None:
    """Make sure that something, `what`, can be decided by these numbers.

    Raises: NotFinite when one of them is NaN or infinite.
    """
    for given in numbers:
        finite(torch.as_tensor(np.asarray(given, dtype=np.float64)), what)


def _not_finite(what: str, got: str) -> NotFinite:
    return NotFinite(
        f"{what} cannot be judged: got {got}, wanted finite numbers; use a wider precision (--dtype float32 or "
        "float64), and where that does not help look for weights that are not finite"
    )
