"""Many estimates at once, each with the 95% interval of a bootstrap over prompts: those of `acdc.judges.faithfulness`.

Every estimate has the same resamples, drawn as there; where there is one prompt there is no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.judges.faithfulness import CONFIDENCE, RESAMPLES, Interval

_AT_ONCE = 500
"""How many estimates have all their resamples in memory together."""


@dataclass(frozen=True)
class Estimates:
    """Estimates of one shape with the ends of their intervals; NaN where there is no estimate, or no interval."""

    value: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    def __getitem__(self, index: Any) -> Estimates:
        """Some of them."""
        return Estimates(self.value[index], self.low[index], self.high[index])

    def interval(self, *index: int) -> Interval:
        """One of them."""
        return Interval(*(float(part[index]) for part in (self.value, self.low, self.high)))

    def to_json(self) -> dict[str, Any]:
        """All of them as nested lists, None where there is no number."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}


def plain(values: npt.NDArray[np.float64]) -> Any:
    """Numbers as nested lists, None for NaN."""
    found = values.astype(object)
    found[np.isnan(values)] = None
    return found.tolist()


def stacked(estimates: Sequence[Estimates]) -> Estimates:
    """Estimates of one shape along a new first axis."""
    return Estimates(*(np.stack([getattr(one, name) for one in estimates]) for name in ("value", "low", "high")))


def means(values: Float[Tensor, "*cell prompt"], seed: int = 0) -> Estimates:
    """The means over the prompts."""
    return ratios(values, torch.ones(values.shape[-1], dtype=torch.float64), seed)


def ratios(part: Float[Tensor, "*cell prompt"], whole: Float[Tensor, " prompt"], seed: int = 0) -> Estimates:
    """The ratios of the mean of each cell to that of `whole`, every resample drawing both numbers of a prompt together.

    Source: Efron and Tibshirani 1993, chapter 13; ratio of means, never mean of ratios: Miller et al. 2024.
    """
    cells, divisor = part.double().cpu().flatten(0, -2).numpy(), whole.double().cpu().numpy()
    count, tail = len(divisor), (1 - CONFIDENCE) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        value = cells.mean(axis=1) / divisor.mean() if count else np.full(len(cells), np.nan)
    value = np.where(np.isfinite(value), value, np.nan)
    low, high = np.full_like(value, np.nan), np.full_like(value, np.nan)
    if count > 1:
        draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
        often = np.zeros((RESAMPLES, count))
        np.add.at(often, (np.arange(RESAMPLES)[:, None], draws), 1 / count)
        below = often @ divisor
        defined = below != 0
        for start in range(0, len(cells) if defined.any() else 0, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            resampled = (often[defined] @ cells[some].T) / below[defined, None]
            low[some], high[some] = np.quantile(resampled, [tail, 1 - tail], axis=0)
    shape = part.shape[:-1]
    return Estimates(value.reshape(shape), low.reshape(shape), high.reshape(shape))
