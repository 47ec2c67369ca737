"""A case: one prompt pair, and what the model and a circuit of it make of the clean prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acdc.tasks.pairs import Scoring, TextPair, Wording

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
        """All of it as plain JSON data, the filling of the slots as an object; `answers_as` only where it says more.

        That a prompt is in a chat template is not among it: its texts say all.
        """
        scoring, wording = self.pair.scoring, self.pair.wording
        more = {} if scoring.answers_as == "one-token" else {"answers_as": scoring.answers_as}
        return {
            "pair": {
                **{name: getattr(self.pair, name) for name in ("clean", "corrupt", "answers", "distractors")},
                "position": scoring.position,
                "template": wording.template,
                "filling": dict(wording.filling),
                **more,
            },
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
        said = data["pair"]
        answers, distractors = (tuple(said[name]) for name in ("answers", "distractors"))
        scoring = Scoring(**{name: said[name] for name in ("position", "answers_as") if name in said})
        wording = Wording.of(said["filling"], said.get("template", ""))
        pair = TextPair(said["clean"], said["corrupt"], answers, distractors, scoring, wording)
        model, circuit = (Prediction(data[who], data[f"{who}_right"]) for who in ("model", "circuit"))
        return cls(pair, data["kl"], model, circuit, data["found_by"])
