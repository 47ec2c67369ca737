"""When a circuit is small enough: by threshold, by number of edges, or by what it keeps of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TypeAlias, get_args

from acdc.errors import BadSetting


@dataclass(frozen=True)
class Threshold:
    """One pruning run in which a removal may cost less than `value`, in the metric's units."""

    value: float

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise BadSetting(f"the threshold is {self.value}; wanted a positive number in the metric's units")


@dataclass(frozen=True)
class Edges:
    """The most faithful circuit, on the discovery prompts, of at most `count` edges."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BadSetting(f"a circuit of {self.count} edges does nothing; wanted at least 1")


@dataclass(frozen=True)
class KeptFaithfulness:
    """The smallest circuit that keeps this fraction of the behaviour on the discovery prompts."""

    fraction: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise BadSetting(f"the faithfulness to keep is {self.fraction}; wanted a fraction above 0 and at most 1")

    def __str__(self) -> str:
        return f"keeps {self.fraction:.0%} of the behaviour (--faithfulness)"


@dataclass(frozen=True)
class MeanKL:
    """The smallest circuit whose KL divergence from the model is at most `nats`, in the mean over discovery prompts."""

    nats: float

    def __post_init__(self) -> None:
        if not 0 < self.nats < math.inf:
            raise BadSetting(f"the KL divergence to allow is {self.nats}; wanted a positive number of nats")

    def __str__(self) -> str:
        return f"is within a KL of {self.nats:g} nats of the model (--kl)"


@dataclass(frozen=True)
class KeptAccuracy:
    """The smallest circuit that is right at least this fraction as often as the model, on the discovery prompts."""

    fraction: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise BadSetting(f"the accuracy to keep is {self.fraction}; wanted a fraction above 0 and at most 1")

    def __str__(self) -> str:
        return f"keeps {self.fraction:.0%} of the model's accuracy (--accuracy)"


Level: TypeAlias = KeptFaithfulness | MeanKL | KeptAccuracy
"""A goal that a circuit reaches by what it keeps, whatever its size."""
Goal: TypeAlias = Threshold | Edges | Level
GOALS: dict[str, type[Goal]] = {kind.__name__: kind for kind in get_args(Goal)}
"""Every kind of goal by its name, as circuit files write it."""


def as_goal(asked: object) -> Goal:
    """The goal itself, or what a bare number means: a fraction from 0 to 1 is kept, a whole number above 1 is of edges.

    Raises: BadSetting for anything else.
    """
    match asked:
        case Threshold() | Edges() | KeptFaithfulness() | MeanKL() | KeptAccuracy():
            return asked
        case bool():
            pass
        case Integral() if int(asked) >= 2:
            return Edges(int(asked))
        case Real() if not isinstance(asked, Integral) and 0 < float(asked) <= 1:
            return KeptFaithfulness(float(asked))
    raise BadSetting(
        f"the goal is {asked!r}; wanted a fraction of the behaviour to keep such as 0.9, a number of edges from 2 on, "
        "or one of Threshold(0.1), Edges(50), KeptFaithfulness(0.9), MeanKL(0.1) and KeptAccuracy(0.95) from acdc"
    )
