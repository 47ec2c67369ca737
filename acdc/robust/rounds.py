"""The rounds of a robust discovery: what it is asked, what each round came to, and whether it helped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from acdc.attacks.plan import MOST_TESTED
from acdc.discovery.discover import Result
from acdc.errors import BadSetting

_ALIKE = 0.01
"""Mean KLs, in nats, that differ by no more are taken to be alike."""


class Stop(Enum):
    """Why there was no further round."""

    EMPTY = "the first circuit has no edges, so there is nothing to learn from"
    HELD = "an attack of the same budget found nothing above the bound"
    NOTHING_NEW = "whatever an attack found is among the discovery prompts already"
    EDGES = "within the edge budget there is nothing more to find"
    ROUNDS = "that was the last round"


@dataclass(frozen=True)
class RobustPlan:
    """How a circuit is refined.

    Every attack tests `budget` prompts; round r is attacked with the seed `seed` + r, and in the end the first and the
    refined circuit with the seed `unseen`. Prompts above `bound`, in nats of KL(model || circuit), are counterexamples;
    a round adds at most `counterexamples` prompts. There are at most `rounds` rounds, and in a circuit at most `growth`
    times the edges of the first.

    Raises: BadSetting when a number is out of range, or a round would be attacked with the unseen seed.
    """

    budget: int = 1000
    bound: float = 0.1
    growth: float = 1.5
    rounds: int = 3
    counterexamples: int = 64
    seed: int = 0
    unseen: int = 1000

    def __post_init__(self) -> None:
        for name, least in (
            ("budget", 1),
            ("bound", 0),
            ("growth", 1),
            ("rounds", 1),
            ("counterexamples", 1),
            ("seed", 0),
        ):
            if not getattr(self, name) >= least:
                raise BadSetting(f"the {name} of a refinement is {getattr(self, name)}; wanted at least {least}")
        for name, usual in (("growth", 1.5), ("bound", 0.1)):
            if getattr(self, name) == math.inf:
                raise BadSetting(f"the {name} of a refinement is infinite; wanted a number, such as {usual}")
        if self.budget > MOST_TESTED:
            raise BadSetting(f"the budget of a refinement is {self.budget:,}; wanted at most {MOST_TESTED:,}")
        if self.seed <= self.unseen <= self.seed + self.rounds:
            raise BadSetting(
                f"the unseen seed {self.unseen} is that of a round; wanted none of {self.seed} to "
                f"{self.seed + self.rounds}, which the rounds take"
            )


@dataclass(frozen=True)
class Round:
    """A circuit, what an attack on it came to, and what the circuit had learned; all KLs in nats.

    `mean` is the mean KL over the prompts drawn for discovery, `worst` the highest on any counterexample met so far,
    in this attack or an earlier one, and `above` how many cases of this attack are above the bound; `breaks` names the
    variations that break the circuit. `learned` counts by what found them the prompts added for this circuit, `words`
    are what fills their slots unusually often; `gained` and `lost` are edges, against the round before; `added` is the
    SHA-256 of the prompts added.
    """

    number: int
    edges: int
    metric: str
    mean: float
    worst: float
    above: int
    breaks: tuple[str, ...]
    learned: Mapping[str, int]
    words: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    added: str | None

    @property
    def line(self) -> str:
        """The round in one line."""
        edges = f"{self.edges:,} edge{'s' if self.edges != 1 else ''}"
        if self.number:
            edges += f" (+{len(self.gained)} -{len(self.lost)}, by {self.metric})"
        parts = [f"round {self.number}: {edges}", f"KL mean {self.mean:.3g}, worst {self.worst:.3g} nats"]
        if self.breaks:
            parts.append(f"broken by {', '.join(self.breaks)}")
        if self.learned:
            often = f", often with {', '.join(self.words)}" if self.words else ""
            parts.append(f"learned from {', '.join(f'{n} of {what}' for what, n in self.learned.items())}{often}")
        return "; ".join(parts)


@dataclass(frozen=True)
class CircuitFigures:
    """How a circuit stands: its edges, its mean KL on the judgement prompts, and the worst KL of the unseen attack.

    An empty first circuit is not attacked: then the worst KL is that on the judgement prompts.
    """

    edges: int
    mean: float
    worst: float


@dataclass(frozen=True)
class RobustResult:
    """What refinement came to: the better circuit by the unseen attack, the rounds, and first and refined circuit.

    `counterexamples` is how many prompts the refined circuit learned from: none where as many edges did better without.
    """

    result: Result
    plan: RobustPlan
    rounds: tuple[Round, ...]
    stop: Stop
    counterexamples: int
    first: CircuitFigures
    last: CircuitFigures

    @property
    def helped(self) -> bool:
        """Whether the unseen attack hurts the refined circuit less and the judgement prompts no more.

        If not, the first circuit is the result.
        """
        return self.last.worst < self.first.worst and self.last.mean <= self.first.mean + _ALIKE

    @property
    def verdict(self) -> str:
        """Whether it helped, in a sentence or two."""
        first, last = self.first, self.last
        if self.stop is Stop.EMPTY:
            return "there was nothing to learn from"
        if len(self.rounds) == 1:
            return f"nothing to learn from; worst KL under an unseen attack {first.worst:.3g} nats"
        change = (
            f"worst KL under an unseen attack {first.worst:.3g} -> {last.worst:.3g} nats, "
            f"mean on the judgement prompts {first.mean:.3g} -> {last.mean:.3g}, edges {first.edges} -> {last.edges}"
        )
        if not self.helped:
            return f"it did not help, so the first circuit is kept: {change}"
        why = "it helped" if self.counterexamples else "it helped by its size alone, not by what it could have learned"
        return f"{why}: {change}"

    def to_json(self) -> dict[str, Any]:
        """All but the circuit itself, as plain JSON data."""
        return {
            "plan": asdict(self.plan),
            "rounds": [asdict(each) for each in self.rounds],
            "stop": self.stop.value,
            "counterexamples": self.counterexamples,
            "first": asdict(self.first),
            "last": asdict(self.last),
            "helped": self.helped,
            "verdict": self.verdict,
        }
