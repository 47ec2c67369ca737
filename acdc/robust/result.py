"""What a robust discovery came to: the better circuit by an unseen attack, and whether it helped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from acdc.discovery.discover import Result
from acdc.robust.plan import RobustPlan
from acdc.robust.rounds import Round, Stop

_ALIKE = 0.01
"""Mean KLs, in nats, that differ by no more are taken to be alike."""


@dataclass(frozen=True)
class CircuitFigures:
    """How a circuit stands: its edges, its mean KL on the judgement prompts, and the worst KL of the unseen attack.

    An empty first circuit is not attacked: then the worst KL is that on the judgement prompts.
    """

    edges: int
    mean: float
    worst: float


@dataclass(frozen=True)
class UnseenAttack:
    """How the first and the refined circuit stand under an attack whose seed no round had."""

    first: CircuitFigures
    last: CircuitFigures

    @property
    def helped(self) -> bool:
        """Whether the attack hurts the refined circuit less and the judgement prompts no more.

        If not, the first circuit is the result.
        """
        return self.last.worst < self.first.worst and self.last.mean <= self.first.mean + _ALIKE


@dataclass(frozen=True)
class RobustResult:
    """What refinement came to: the better circuit by the unseen attack, the rounds, and how both circuits stand.

    `counterexamples` is how many prompts the refined circuit learned from: none where as many edges did better without.
    """

    result: Result
    plan: RobustPlan
    rounds: tuple[Round, ...]
    stop: Stop
    counterexamples: int
    unseen: UnseenAttack

    @property
    def verdict(self) -> str:
        """Whether it helped, in a sentence or two."""
        first, last = self.unseen.first, self.unseen.last
        if self.stop is Stop.EMPTY:
            return "there was nothing to learn from"
        if len(self.rounds) == 1:
            return f"nothing to learn from; worst KL under an unseen attack {first.worst:.3g} nats"
        change = (
            f"worst KL under an unseen attack {first.worst:.3g} -> {last.worst:.3g} nats, "
            f"mean on the judgement prompts {first.mean:.3g} -> {last.mean:.3g}, edges {first.edges} -> {last.edges}"
        )
        if not self.unseen.helped:
            return f"it did not help, so the first circuit is kept: {change}"
        why = "it helped" if self.counterexamples else "it helped by its size alone, not by what it could have learned"
        return f"{why}: {change}"

    def to_json(self) -> dict[str, Any]:
        """All but the circuit itself, as plain JSON data."""
        return {
            "plan": self.plan.to_json(),
            "rounds": [each.to_json() for each in self.rounds],
            "stop": self.stop.value,
            "counterexamples": self.counterexamples,
            "first": asdict(self.unseen.first),
            "last": asdict(self.unseen.last),
            "helped": self.unseen.helped,
            "verdict": self.verdict,
        }
