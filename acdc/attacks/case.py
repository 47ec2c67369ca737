"""A case: one prompt pair, and what the model and a circuit of it make of the clean prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from acdc.tasks.pairs import TextPair

BOUND = 1.0
"""The KL(model || circuit), in nats, up to which a case counts as repaired."""


@dataclass(frozen=True)
class Prediction:
    """The token found most likely at the scored position, as text, and whether it is an answer.

    Of several scored positions, it is right where all tokens are answers; of whole answers, the tokens are those of the
    one that is said, or of the first.
    """

    text: str
    right: bool


@dataclass(frozen=True)
class Case:
    """A prompt pair and what the model and the circuit predict on its clean prompt.

    `kl` is KL(model || circuit) in nats at the scored position, of several the mean. `found_by` names the attack that
    met it.
    """

    pair: TextPair
    kl: float
    model: Prediction
    circuit: Prediction
    found_by: str

    @property
    def fails(self) -> bool:
        """Whether the circuit is wrong where the model is right."""
        return self.model.right and not self.circuit.right

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, the filling of the slots as an object; `answers_as` only where it says more."""
        pair = {**asdict(self.pair), "filling": dict(self.pair.filling)}
        del pair["chat"]  # its texts say all
        if self.pair.answers_as == "one-token":
            del pair["answers_as"]
        return {
            "pair": pair,
            "kl": self.kl,
            "model": self.model.text,
            "circuit": self.circuit.text,
            "model_right": self.model.right,
            "circuit_right": self.circuit.right,
            "found_by": self.found_by,
            "fails": self.fails,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that `to_json` wrote."""
        pair = {name: value for name, value in data["pair"].items() if name in TextPair.__dataclass_fields__}
        pair |= {name: tuple(pair[name]) for name in ("answers", "distractors")}
        pair["filling"] = tuple(pair["filling"].items())
        model, circuit = (Prediction(data[who], data[f"{who}_right"]) for who in ("model", "circuit"))
        return cls(TextPair(**pair), data["kl"], model, circuit, data["found_by"])
