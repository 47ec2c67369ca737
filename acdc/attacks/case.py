"""A case: one prompt pair, and what the model and a circuit of it make of the clean prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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


def cases(problem: Problem, circuit: Circuit, found_by: str) -> tuple[Case, ...]:
    """What the model and the circuit make of every prompt of a problem, in their order.

    Raises: DifferentGraphs when the circuit is of another model; NotFinite.
    """
    rows: defaultdict[int, list[tuple[float, int, int]]] = defaultdict(list)
    for batch in problem.batches:
        reference, [logits] = batch.targets.reference, Executor.of(batch.runs).run([circuit])
        divergence = divergences(logits, batch.targets).tolist()
        said = [both.argmax(-1).tolist() for both in (reference, logits)]
        for place, row in zip(batch.prompts.index.tolist(), zip(divergence, *said, strict=True), strict=True):
            rows[place].append(row)
    return tuple(_case(problem, place, rows[place], found_by) for place in range(len(problem.pairs)))


def _case(problem: Problem, place: int, rows: Sequence[tuple[float, int, int]], found_by: str) -> Case:
    """What was measured at the scored positions of one prompt: KL, and what the model and the circuit say there."""
    pair = problem.pairs.pairs[place]
    kl, model, circuit = zip(*rows, strict=True)

    def right(said: Sequence[int]) -> tuple[int, ...] | None:
        """The rows at which all that is said is an answer."""
        every = (rows for rows in pair.answer_rows if all(said[row] in pair.scored[row].answers for row in rows))
        return next(every, None)

    def words(said: Sequence[int]) -> str:
        return " ".join(written(problem.model, said[row]) for row in right(said) or pair.answer_rows[0])

    return Case(pair.text, sum(kl), words(model), words(circuit), bool(right(model)), bool(right(circuit)), found_by)


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
