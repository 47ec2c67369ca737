"""Does a model without a circuit yield one? Planted chains with shuffled weights, searched by every kind of method.

Run as `python -m tests.benchmarks.control [SEEDS]`: for every seed and method either why it was refused, or how the
circuit it found compares with random circuits of its size on prompts it was not found on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from acdc.discovery.discover import discover
from acdc.errors import AcdcError
from acdc.ground_truth import planted
from acdc.judges.sufficiency import sufficiency
from acdc.problems import problems
from acdc.settings import Setup

METHODS = ("acdc", "eap-ig", "exact")
LEVEL = 0.05


@dataclass(frozen=True)
class Outcome:
    """What a method made of a control: the p-value of its circuit, or None where it was refused."""

    seed: int
    method: str
    p_value: float | None

    @property
    def is_confident(self) -> bool:
        """Whether a circuit was found that beats random ones."""
        return self.p_value is not None and self.p_value <= LEVEL


def outcome(seed: int, method: str, *, draws: int = 200) -> Outcome:
    """Search one control with one method."""
    known, setup = planted.control(seed), Setup(seed=seed)
    try:
        found = discover(known.task, known.model, method=method, setup=setup)
        _, judgement = problems(known.task, known.model, setup)
        return Outcome(seed, method, sufficiency(judgement, found.circuit, seed, draws=draws).p_value)
    except AcdcError:
        return Outcome(seed, method, None)


def main(seeds: int = 20) -> None:
    """Print what became of every control."""
    for method in METHODS:
        found = [outcome(seed, method) for seed in range(seeds)]
        refused = sum(one.p_value is None for one in found)
        calm = sum(not one.is_confident for one in found)
        print(f"{method}: no confident circuit in {calm} of {seeds} controls ({refused} of them refused)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
