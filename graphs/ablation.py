"""What a missing edge may carry: every ablation, its names and its paper; `execution.runs` computes what is carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from acdc.graphs.constants import Constants


class Ablation(Enum):
    """What a receiver reads from a sender when the edge between them is not in the circuit.

    `Ablation(name)` knows each by its value and by its other names, and `OPTIMAL` by its constants.
    """

    RESAMPLE = "resample"
    """The sender's own output on the corrupt prompt."""
    MEAN = "mean"
    """The mean of the sender's output over all corrupt prompts and positions."""
    MEAN_POSITIONAL = "mean-positional"
    """The mean of the sender's output over the corrupt prompts, position by position."""
    ZERO = "zero"
    """Nothing."""
    OPTIMAL = "optimal"
    """A constant that is learned for the sender, so that the ablated model loses little."""

    @property
    def is_learned(self) -> bool:
        """Whether what missing edges carry must be learned before anything can be measured."""
        return self is Ablation.OPTIMAL

    @classmethod
    def _missing_(cls, value: object) -> Ablation | None:
        if isinstance(value, Constants):
            return cls.OPTIMAL
        return next((kind for kind, entry in ABLATIONS.items() if value in entry.aliases), None)


UNLEARNED = tuple(kind for kind in Ablation if not kind.is_learned)
"""The ablations under which everything can be measured at once."""


@dataclass(frozen=True)
class AblationEntry:
    """An ablation: one line on what a missing edge carries, its other names, and its source."""

    help: str
    aliases: tuple[str, ...] = ()
    source: str = ""


ABLATIONS: Mapping[Ablation, AblationEntry] = MappingProxyType(
    {
        Ablation.RESAMPLE: AblationEntry(
            "what its sender writes on the corrupt prompt",
            ("interchange",),
            "interchange intervention; Geiger et al. 2021, arXiv:2106.02997",
        ),
        Ablation.MEAN: AblationEntry(
            "its mean over all corrupt prompts and positions",
            source="Wang et al. 2022, arXiv:2211.00593, section 2.1",
        ),
        Ablation.MEAN_POSITIONAL: AblationEntry("its mean over the corrupt prompts, by position"),
        Ablation.ZERO: AblationEntry("nothing"),
        Ablation.OPTIMAL: AblationEntry(
            "a constant, learned so that little is lost",
            source="Li and Janson 2024, arXiv:2409.09951",
        ),
    }
)
