"""When a circuit is small enough: by threshold, by number of edges, or by the faithfulness it keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

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


Goal: TypeAlias = Threshold | Edges | KeptFaithfulness
