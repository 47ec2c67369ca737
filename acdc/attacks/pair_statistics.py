"""Values of pairs, both sides of which were drawn by chance: what they say of all pairs that might have been drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from acdc.judges.faithfulness import CONFIDENCE, Interval

RESAMPLES = 1000
Side = Literal["clean", "corrupt"]
SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True)
class Percentile:
    """The least value that a fraction `q` of the pairs does not exceed."""

    q: float
    value: Interval


@dataclass(frozen=True)
class Maximum:
    """The greatest value met, which no interval goes with, since a greater one may always be left to meet.

    `passes` is the fraction of all pairs like these that it exceeds, with 95% confidence.
    """

    value: float
    passes: float


@dataclass(frozen=True)
class Distribution:
    """How the values of pairs are distributed; intervals are of 95%, for prompts drawn anew on both sides."""

    mean: Interval
    percentiles: tuple[Percentile, ...]
    maximum: Maximum


@dataclass(frozen=True)
class SlotWord:
    """A word in a slot of the clean or the corrupt prompt (`side`)."""

    slot: str
    word: str
    side: Side


@dataclass(frozen=True)
class Stratum:
    """The pairs with one word in one slot of a prompt of theirs.

    `count` is how many pairs they are and `prompts` how many prompts have the word. The interval of the mean is of 95%
    and wide where the prompts are few.
    """

    where: SlotWord
    count: int
    prompts: int
    mean: Interval
    p99: float
    max: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            **asdict(self.where),
            "count": self.count,
            "prompts": self.prompts,
            "mean": self.mean.value,
            "low": self.mean.low,
            "high": self.mean.high,
            "p99": self.p99,
            "max": self.max,
        }


@dataclass(frozen=True)
class Crossed:
    """The values of pairs: `values[k]` is that of clean prompt `clean[k]` with corrupt prompt `corrupt[k]`.

    Both count the same `prompts` from 0. The values are sorted, the least first.
    """

    values: NDArray[np.float64]
    clean: NDArray[np.intp]
    corrupt: NDArray[np.intp]
    prompts: int

    @classmethod
    def of(
        cls, values: NDArray[np.float64], clean: NDArray[np.intp], corrupt: NDArray[np.intp], prompts: int
    ) -> Crossed:
        """These values, in any order."""
        order = np.lexsort((corrupt, clean, values))
        return cls(values[order], clean[order], corrupt[order], prompts)

    def spread(
        self, quantiles: Sequence[float], seed: int, resamples: int = RESAMPLES
    ) -> tuple[Interval, tuple[Percentile, ...]]:
        """The mean and these percentiles, each with its interval from a bootstrap over both margins.

        A resample draws clean prompts and, independently, corrupt ones, with replacement and as many as there are; a
        pair counts as often as both its prompts were drawn. Resamples without a pair are left out.

        Source: Owen 2007, The pigeonhole bootstrap (Annals of Applied Statistics 1:386-411), section 3.
        """
        drawn, seen = np.random.default_rng(seed), []
        for _ in range(resamples):
            times = drawn.multinomial(self.prompts, np.full(self.prompts, 1 / self.prompts), size=2).astype(np.float64)
            weights = times[0].take(self.clean)
            weights *= times[1].take(self.corrupt)
            if weights.any():
                seen.append(self._figures(weights, quantiles))
        whole = self._figures(np.ones(len(self.values)), quantiles)
        edge = 100 * (1 - CONFIDENCE) / 2
        low, high = np.percentile(seen, [edge, 100 - edge], axis=0).tolist()
        mean, *rest = (Interval(*ends) for ends in zip(whole, low, high, strict=True))
        return mean, tuple(Percentile(q, value) for q, value in zip(quantiles, rest, strict=True))

    def _figures(self, weights: NDArray[np.float64], quantiles: Sequence[float]) -> list[float]:
        """The mean and the percentiles of the values so weighted, in whole numbers."""
        reached = weights.cumsum()
        percentiles = self.values[_indices(reached, quantiles)]
        return [float(weights @ self.values / reached[-1]), *percentiles.tolist()]

    def surely_passed(self, group: Sequence[object]) -> float:
        """The fraction of all pairs of a `group` (one for each prompt) that the greatest value passes with 95%
        confidence.

        Every two neighbours among the prompts, each prompt in one couple only, that are of one group make an
        independent pair; the greatest of n of these passes the quantile q with probability 1 - q^n.
        """
        couples = sum(one == other for one, other in zip(group[::2], group[1::2], strict=False))
        return float((1 - CONFIDENCE) ** (1 / couples)) if couples else 0.0

    def strata(self, slot: str, words: Sequence[str | None], side: Side) -> Iterator[Stratum]:
        """The pairs by what stands in a slot, `words`, of their prompts of one side.

        A word of one prompt is left out, as nothing tells the two apart.

        The interval of a mean m is Student's, with as many degrees of freedom as the word has prompts, less one. The
        variance is the sum of those of both margins: for each, k / (k - 1) times the squares of the sums of value - m
        over every one of its k prompts, by the square of the number of pairs.
        """
        own, other = (self.clean, self.corrupt) if side == "clean" else (self.corrupt, self.clean)
        names = sorted({word for word in words if word is not None})
        number: dict[str | None, int] = {word: index for index, word in enumerate(names)}
        kind = np.min_scalar_type(len(names))  # small numbers sort faster
        codes = np.array([number.get(word, len(names)) for word in words], kind).take(own)
        order = codes.argsort(kind="stable")
        ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
        for word, start, end in zip(names, ends[:-1], ends[1:], strict=True):
            some = order[start:end]  # still sorted by value
            margins, values = (own[some], other[some]), self.values[some]
            prompts = _distinct(margins[0], self.prompts)
            if prompts < 2:
                continue
            mean = float(values.mean())
            error = sum(_variance(margin, values - mean, self.prompts) for margin in margins) ** 0.5 / len(values)
            reach = _student(prompts - 1) * error
            p99 = float(values[_indices(np.arange(1, len(values) + 1), [0.99])[0]])
            interval = Interval(mean, mean - reach, mean + reach)
            yield Stratum(SlotWord(slot, word, side), len(values), prompts, interval, p99, float(values[-1]))


def _indices(reached: NDArray[Any], quantiles: Sequence[float]) -> NDArray[np.intp]:
    """Where the sum of weights reaches these fractions; rounding must not lift 0.9 of 10 pairs above the ninth."""
    indices: NDArray[np.intp] = np.searchsorted(reached, np.array(quantiles) * reached[-1] * (1 - 1e-12))
    return indices


def _variance(margin: NDArray[np.intp], away: NDArray[np.float64], prompts: int) -> float:
    """Of the sum of what is away from its mean, over the prompts of one margin."""
    sums, count = np.bincount(margin, away, prompts), _distinct(margin, prompts)
    return float(sums @ sums) * count / (count - 1)


def _distinct(margin: NDArray[np.intp], prompts: int) -> int:
    return int(np.count_nonzero(np.bincount(margin, minlength=prompts)))


def _student(freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
