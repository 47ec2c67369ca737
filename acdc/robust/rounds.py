"""The rounds of a robust discovery: what each came to, and why there was no further one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Stop(Enum):
    """Why there was no further round."""

    EMPTY = "the first circuit has no edges, so there is nothing to learn from"
    HELD = "an attack of the same budget found nothing above the bound"
    NOTHING_NEW = "whatever an attack found is among the discovery prompts already"
    EDGES = "within the edge budget there is nothing more to find"
    ROUNDS = "that was the last round"


@dataclass(frozen=True)
class RoundCircuit:
    """A round's circuit: how many edges it has, the metric that found it, and the edges against the round before."""

    edges: int
    metric: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class RoundAttack:
    """What an attack on a circuit came to; all KLs in nats.

    `mean` is the mean KL over the prompts drawn for discovery, `worst` the highest on any counterexample met so far,
    in this attack or an earlier one, and `above` how many cases of this attack are above the bound; `breaks` names the
    variations that break the circuit.
    """

    mean: float
    worst: float
    above: int
    breaks: tuple[str, ...]


@dataclass(frozen=True)
class AddedPrompts:
    """The prompts that a circuit learned from for the first time.

    `found_by` counts them by what found them, `words` are what fills their slots unusually often, `hash` is their
    SHA-256 (None where there are none).
    """

    found_by: Mapping[str, int]
    words: tuple[str, ...]
    hash: str | None


@dataclass(frozen=True)
class Round:
    """A circuit, what an attack on it came to, and what was added to the prompts for it."""

    number: int
    circuit: RoundCircuit
    attack: RoundAttack
    added: AddedPrompts

    @property
    def line(self) -> str:
        """The round in one line."""
        circuit, attack, added = self.circuit, self.attack, self.added
        edges = f"{circuit.edges:,} edge{'s' if circuit.edges != 1 else ''}"
        if self.number:
            edges += f" (+{len(circuit.gained)} -{len(circuit.lost)}, by {circuit.metric})"
        parts = [f"round {self.number}: {edges}", f"KL mean {attack.mean:.3g}, worst {attack.worst:.3g} nats"]
        if attack.breaks:
            parts.append(f"broken by {', '.join(attack.breaks)}")
        if added.found_by:
            often = f", often with {', '.join(added.words)}" if added.words else ""
            parts.append(f"learned from {', '.join(f'{n} of {what}' for what, n in added.found_by.items())}{often}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "number": self.number,
            "edges": self.circuit.edges,
            "metric": self.circuit.metric,
            "mean": self.attack.mean,
            "worst": self.attack.worst,
            "above": self.attack.above,
            "breaks": list(self.attack.breaks),
            "learned": dict(self.added.found_by),
            "words": list(self.added.words),
            "gained": list(self.circuit.gained),
            "lost": list(self.circuit.lost),
            "added": self.added.hash,
        }
