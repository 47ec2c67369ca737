"""A case: one prompt pair, and what the model and a circuit of it make of the clean prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from acdc.tasks.pairs import TextPair

BOUND = 1.0
"""The KL(model || circuit), in nats, up to which a case counts as repaired."""


@dataclass(frozen=True)
class Case:
    """A prompt pair and what the model and the circuit make of it.

    `kl` is KL(model || circuit) in nats at the scored position; `model` and `circuit` are the tokens that each finds
    most likely there, as text, and `model_right` and `circuit_right` say whether these are answers. Of several scored
    positions, `kl` is the mean, and all tokens must be answers; of whole answers, the tokens are those of the one that
    is said, or of the first. `found_by` names the attack that met it.
    """

    pair: TextPair
    kl: float
    model: str
    circuit: str
    model_right: bool
    circuit_right: bool
    found_by: str

    @property
    def fails(self) -> bool:
        """Whether the circuit is wrong where the model is right."""
        return self.model_right and not self.circuit_right

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, the filling of the slots as an object; `answers_as` only where it says more."""
        pair = {**asdict(self.pair), "filling": dict(self.pair.filling)}
        if self.pair.answers_as == "one-token":
            del pair["answers_as"]
        return {**asdict(self), "pair": pair, "fails": self.fails}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that `to_json` wrote."""
        pair = {name: value for name, value in data["pair"].items() if name in TextPair.__dataclass_fields__}
        pair |= {name: tuple(pair[name]) for name in ("answers", "distractors")}
        pair["filling"] = tuple(pair["filling"].items())
        return cls(**{**{name: data[name] for name in cls.__dataclass_fields__}, "pair": TextPair(**pair)})
