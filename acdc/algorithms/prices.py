"""What an edge costs while masks are learned: the longer a training goes on, the more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from acdc.errors import BadSetting

FEW, LOWER = 400, 10
"""The edges beyond which the first price is lower, and how many times at most."""
Part = TypeVar("Part", float, Tensor)


@dataclass(frozen=True)
class Prices:
    """What an edge costs at every step of a training, as a part of what ablating everything loses.

    From `first` to `last` the price grows by the same factor at each of the `steps`.

    Raises: BadSetting unless prices are positive and the last is not the lower one, and there is a step.
    """

    steps: int = 280
    first: float = 3e-4
    last: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadSetting(f"{self.steps} steps train nothing; wanted at least 1")
        if not 0 < self.first <= self.last < math.inf:
            raise BadSetting(f"edges cannot cost {self.first} at first and {self.last} at last; wanted rising prices")

    def from_lower(self, edges: int) -> Prices:
        """The same for so many edges, a tenth at first of what it is for 400 where there are ten times as many.

        It rises as much a step. What all edges cost together begins at about an eighth of the whole effect then, so
        that few close before it is told which of them are worth more.
        """
        lower = min(max(1.0, edges / FEW), LOWER)
        rise = math.log(self.last / self.first)
        return Prices(
            round(self.steps * (1 + math.log(lower) / rise)) if rise else self.steps, self.first / lower, self.last
        )

    def at(self, done: Part) -> Part:
        """The price when so many steps are done."""
        price: Part = self.first * (self.last / self.first) ** (done / self.steps)
        return price
