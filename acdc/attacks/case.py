"""A case: one prompt pair, and what the model and a circuit of it make of the clean prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from acdc.precision import finite
from acdc.problem import Problem
from graphs.circuit import Circuit
from graphs.executor import Executor
from graphs.model import Model
from tasks.metrics import KLDivergence, Targets
from tasks.prompts import TextPair


@dataclass(frozen=True)
class Case:
    """A prompt pair and what the model and the circuit make of it.

    `kl` is KL(model || circuit) in nats at the scored position; `model` and `circuit` are the tokens that each finds
    most likely there, as text, and `model_right` and `circuit_right` say whether these are answers. `found_by` names
    the attack that met it.
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
        """All of it as plain JSON data, the filling of the slots as an object."""
        return {**asdict(self), "pair": {**asdict(self.pair), "filling": dict(self.pair.filling)}, "fails": self.fails}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that `to_json` wrote."""
        pair = {name: data["pair"][name] for name in TextPair.__dataclass_fields__}
        pair |= {name: tuple(pair[name]) for name in ("answers", "distractors")}
        pair["filling"] = tuple(pair["filling"].items())
        return cls(**{**{name: data[name] for name in cls.__dataclass_fields__}, "pair": TextPair(**pair)})


def cases(problem: Problem, circuit: Circuit, found_by: str) -> tuple[Case, ...]:
    """What the model and the circuit make of every prompt of a problem, in their order.

    Raises: DifferentGraphs when the circuit is of another model; NotFinite.
    """
    found: dict[int, Case] = {}
    for batch in problem.batches:
        reference, [logits] = batch.targets.reference, Executor.of(batch.runs).run([circuit])
        divergence = divergences(logits, batch.targets).tolist()
        said = [both.argmax(-1).tolist() for both in (reference, logits)]
        for row, place in enumerate(batch.prompts.index.tolist()):
            pair = problem.pairs.pairs[place]
            model, ours = (tokens[row] for tokens in said)
            found[place] = Case(
                pair=pair.text,
                kl=divergence[row],
                model=written(problem.model, model),
                circuit=written(problem.model, ours),
                model_right=model in pair.answers,
                circuit_right=ours in pair.answers,
                found_by=found_by,
            )
    return tuple(found[place] for place in range(len(problem.pairs)))


def divergences(logits: Float[Tensor, "*circuit batch vocab"], targets: Targets) -> Float[Tensor, "*circuit batch"]:
    """KL(model || circuit) in nats, in float64 where float32 does not suffice; what is finite has finite logits.

    Raises: NotFinite when that does not suffice either.
    """
    values = KLDivergence()(logits, targets)
    if not values.isfinite().all():
        values = KLDivergence()(logits.double(), targets)
    return finite(values, "KL(model || circuit) of prompts")


def written(model: Model, token: int) -> str:
    """A token as text; its number, for a model without a tokenizer."""
    return str(token) if model.tokenizer is None else str(model.tokenizer.decode([token]))
