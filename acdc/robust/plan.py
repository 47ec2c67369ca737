"""What a robust discovery is asked: how hard it attacks, what it learns from, how much it may grow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from acdc.attacks.plan import MOST_TESTED
from acdc.errors import BadSetting


@dataclass(frozen=True)
class AttackSeeds:
    """The seeds of the attacks: round r has `first` + r, the one that judges in the end `unseen`."""

    first: int = 0
    unseen: int = 1000


@dataclass(frozen=True)
class RobustPlan:
    """How a circuit is refined.

    Every attack tests `budget` prompts, in the end on the first and the refined circuit. Prompts above `bound`, in nats
    of KL(model || circuit), are counterexamples; a round adds at most `counterexamples` prompts. There are at most
    `rounds` rounds, and in a circuit at most `growth` times the edges of the first.

    Raises: BadSetting when a number is out of range, or a round would be attacked with the unseen seed.
    """

    budget: int = 1000
    bound: float = 0.1
    growth: float = 1.5
    rounds: int = 3
    counterexamples: int = 64
    seeds: AttackSeeds = AttackSeeds()

    def __post_init__(self) -> None:
        for name, value, least in (
            ("budget", self.budget, 1),
            ("bound", self.bound, 0),
            ("growth", self.growth, 1),
            ("rounds", self.rounds, 1),
            ("counterexamples", self.counterexamples, 1),
            ("seed", self.seeds.first, 0),
        ):
            if not value >= least:
                raise BadSetting(f"the {name} of a refinement is {value}; wanted at least {least}")
        for name, usual in (("growth", 1.5), ("bound", 0.1)):
            if getattr(self, name) == math.inf:
                raise BadSetting(f"the {name} of a refinement is infinite; wanted a number, such as {usual}")
        if self.budget > MOST_TESTED:
            raise BadSetting(f"the budget of a refinement is {self.budget:,}; wanted at most {MOST_TESTED:,}")
        first, last = self.seeds.first, self.seeds.first + self.rounds
        if first <= self.seeds.unseen <= last:
            raise BadSetting(
                f"the unseen seed {self.seeds.unseen} is that of a round; wanted none of {first} to {last}, which the "
                "rounds take"
            )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "budget": self.budget,
            "bound": self.bound,
            "growth": self.growth,
            "rounds": self.rounds,
            "counterexamples": self.counterexamples,
            "seed": self.seeds.first,
            "unseen": self.seeds.unseen,
        }
