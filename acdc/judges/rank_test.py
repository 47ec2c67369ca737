"""Is one thing greater than what chance brings? One number against those of many random draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from acdc.precision import require_finite

if TYPE_CHECKING:
    import numpy
    import numpy.typing

SHARE = 0.9
"""The part of the random draws that is to be beaten."""


@dataclass(frozen=True)
class RankTest:
    """How many of `of` random draws a number beats; equals count as not beaten.

    `p_value` is (1 + draws not beaten) / (1 + all), small if the number would be rare among the draws; `p_share` that
    of the binomial test of H0: it beats no more than 0.9 of all that could be drawn.

    Source: Phipson and Smyth 2010 (never a p-value of 0); Shi et al. 2024 (arXiv:2410.13032), section 3, for the share.
    """

    own: float
    beaten: int
    of: int
    p_value: float
    p_share: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def rank_test(own: float, others: numpy.typing.NDArray[numpy.float64], rounding: float = 0.0) -> RankTest:
    """The number `own` against `others`, more being better; what differs by `rounding` or less is equal.

    Raises: NotFinite.
    """
    from scipy.stats import binomtest

    require_finite("a rank among random draws", own, others)
    beaten = int((others < own - rounding).sum())
    share = binomtest(beaten, len(others), SHARE, alternative="greater").pvalue
    p_value = (1 + len(others) - beaten) / (1 + len(others))
    return RankTest(own, beaten, len(others), p_value, float(share))
