"""What a missing edge carries."""

from __future__ import annotations

from enum import Enum


class Ablation(Enum):
    """What a receiver reads from a sender when the edge between them is not in the circuit."""

    RESAMPLE = "resample"
    """The sender's own output on the corrupt prompt (interchange intervention; Geiger et al. 2021)."""
    MEAN = "mean"
    """The mean of the sender's output over all corrupt prompts and positions (Wang et al. 2022, section 2.1)."""
    MEAN_POSITIONAL = "mean-positional"
    """The mean of the sender's output over the corrupt prompts, position by position."""
    ZERO = "zero"
    """Nothing."""
