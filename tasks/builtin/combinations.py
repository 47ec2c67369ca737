"""Which combinations of words a draw may use: those the shipped models were trained on, those held out, or both."""

from __future__ import annotations

import hashlib
from enum import Enum

from typing_extensions import assert_never


class Combinations(Enum):
    """What a draw admits; one combination in ten is held out of training, by a hash that no seed changes."""

    ALL = "every combination"
    TRAINED = "combinations the shipped models were trained on"
    HELD_OUT = "combinations the shipped models never saw"

    def admits(self, *parts: str) -> bool:
        """Whether a draw may combine these words, in this order."""
        return self.takes(is_held_out(*parts))

    def takes(self, held_out: bool) -> bool:
        """Whether a draw may use a combination that is, or is not, held out."""
        match self:
            case Combinations.ALL:
                return True
            case Combinations.TRAINED:
                return not held_out
            case Combinations.HELD_OUT:
                return held_out
            case _:
                assert_never(self)


def is_held_out(*parts: str) -> bool:
    """Whether the shipped models were never trained on this combination of words; the order counts."""
    return hashlib.sha256("\n".join(parts).encode()).digest()[0] < 26  # 26 of 256 values: one in ten
