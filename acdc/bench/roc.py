"""The receiver operating characteristic of what was found against what is true, with two areas under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from acdc.precision import require_finite

T = TypeVar("T")


@dataclass(frozen=True)
class Roc:
    """Points (false positive rate, true positive rate) from (0, 0) to (1, 1), rising in both.

    The points of a family of circuits need not rise: those with another to the left of them and above count for
    nothing, as in the ACDC paper. A ranking has no such points.

    Raises: ValueError when the points do not rise from (0, 0) to (1, 1).
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        rising = all(a[0] <= b[0] and a[1] <= b[1] for a, b in zip(self.points, self.points[1:], strict=False))
        if not rising or self.points[:1] != ((0.0, 0.0),) or self.points[-1:] != ((1.0, 1.0),):
            raise ValueError(f"the points of a ROC rise from (0, 0) to (1, 1), got {self.points}; make it with Roc.of")

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> Roc:
        """The curve through the upper left of these points, less those inside an upright or a level stretch."""
        upper: list[tuple[float, float]] = []
        for x, y in sorted({(0.0, 0.0), *points, (1.0, 1.0)}):
            if upper and y < upper[-1][1]:
                continue
            if len(upper) > 1 and any(upper[-2][axis] == upper[-1][axis] == (x, y)[axis] for axis in (0, 1)):
                upper.pop()
            upper.append((x, y))
        return cls(tuple(upper))

    @property
    def pessimistic(self) -> float:
        """The area under the staircase that goes right first and then up, from point to point.

        Of a ranking: how often a true thing is ranked strictly above another, over all pairs.

        Source: Conmy et al. 2023 (arXiv:2304.14997), section 4.
        """
        steps = zip(self.points, self.points[1:], strict=False)
        return sum((1 - right) * (above - below) for (_, below), (right, above) in steps)

    @property
    def plain(self) -> float:
        """The area under straight lines from point to point; of a ranking, ties count half."""
        steps = zip(self.points, self.points[1:], strict=False)
        return sum((right - left) * (above + below) / 2 for (left, below), (right, above) in steps)


def of_ranking(scores: Mapping[T, float], true: Collection[T]) -> Roc | None:
    """The curve of taking the highest scores first, equals together; None where all or none of the things are true.

    Raises: NotFinite.
    """
    require_finite("a ranking", list(scores.values()))
    order = sorted(scores, key=lambda thing: -scores[thing])
    levels = []
    for _, alike in groupby(order, key=scores.__getitem__):
        here = list(alike)
        levels.append((len(here), sum(thing in true for thing in here)))
    positives = sum(hits for _, hits in levels)
    negatives = len(scores) - positives
    if not positives or not negatives:
        return None
    points, wrong, right = [], 0, 0
    for size, hits in levels:
        wrong, right = wrong + size - hits, right + hits
        points.append((wrong / negatives, right / positives))
    return Roc.of(points)


def of_family(found: Iterable[Set[T]], true: Set[T], everything: Set[T]) -> Roc | None:
    """The curve through one point for each set found; None where all or none of the things are true."""
    false = everything - true
    if not false or not true:
        return None
    return Roc.of((len(one & false) / len(false), len(one & true) / len(true)) for one in found)
