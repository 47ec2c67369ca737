"""What features or neurons do: where they are strongest, the tokens they promote, and what steering along them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from acdc.attacks.measuring import written
from acdc.explain.unit_examples import UnitExample, file_texts, task_texts, unit_examples
from acdc.explain.unit_steering import UnitSteering, unit_steering
from acdc.features.effects import first_order_effects
from acdc.features.named import Fitted
from acdc.graphs.feature_names import Names
from acdc.graphs.features.fit import Fit
from acdc.graphs.model import Model
from acdc.problem import Problem

EXAMPLES = 4
TOKENS = 5


@dataclass(frozen=True)
class UnitReading:
    """What one unit does.

    `effect` is by how much the metric would fall, to first order, if it had the activation of the corrupt prompts;
    `often` at which part of the prompts' tokens it is on. `tokens` are those whose logits its direction raises most,
    and lowers most, read through the final norm's weights.
    """

    name: str
    effect: float
    often: float
    examples: tuple[tuple[UnitExample, ...], tuple[UnitExample, ...]]
    tokens: tuple[tuple[str, ...], tuple[str, ...]]
    steering: UnitSteering

    def to_json(self, model: Model) -> dict[str, Any]:
        """All of it as plain JSON data; the model names the tokens."""
        in_task, in_file = ([each.to_json() for each in side] for side in self.examples)
        then = [[written(model, token), round(part, 4)] for token, part in self.steering.then]
        return {
            "unit": self.name,
            "effect": self.effect,
            "often": round(self.often, 6),
            "examples": in_task,
            "examples_in_texts": in_file,
            "promotes": list(self.tokens[0]),
            "suppresses": list(self.tokens[1]),
            "steering": {**self.steering.to_json(), "then": then},
        }


@dataclass(frozen=True)
class UnitReadings:
    """What units of one place do: those asked for, or those of the largest first-order effects; of how many in all.

    `names` is what a user calls features.
    """

    readings: tuple[UnitReading, ...]
    count: int
    metric: str
    whole: float
    fit: Fit | None
    names: Names


def read_units(
    problem: Problem, fitted: Fitted, chosen: Sequence[int], texts: Sequence[str] = (), *, top: int = 8, seed: int = 0
) -> UnitReadings:
    """What these units (none: the `top` ones by first-order effect) do on a problem's prompts, and on lines of text.

    Raises: BadSetting when the metric has no gradient, or the texts have no line.
    """
    units, model = fitted.units, problem.model
    effects = first_order_effects(problem, units)
    chosen = list(chosen) or effects.abs().topk(min(top, units.count)).indices.tolist()
    in_task = unit_examples(model, units, chosen, task_texts(problem), EXAMPLES)
    in_file = unit_examples(model, units, chosen, file_texts(model, texts), EXAMPLES).strongest if texts else ()
    readings = []
    for index, unit in enumerate(chosen):
        examples = in_task.strongest[index], in_file[index] if texts else ()
        strongest = max((each.strength for side in examples for each in side), key=abs, default=0.0)
        steered = unit_steering(problem, units, unit, strongest, seed=seed)
        tokens = _tokens(model, units.directions[unit] * (-1 if strongest < 0 else 1))
        reading = UnitReading(units.name(unit), float(effects[unit]), in_task.often[index], examples, tokens, steered)
        readings.append(reading)
    return UnitReadings(tuple(readings), units.count, problem.metric.name, _whole(problem), fitted.fit, fitted.names)


def _whole(problem: Problem) -> float:
    """The metric of the clean prompts."""
    total = 0.0
    for prompts, reference in problem.references():
        total += float(problem.metric(reference, prompts.targets(reference)).sum())
    return total / len(problem.pairs)


def _tokens(model: Model, direction: Float[Tensor, " d_model"]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tokens whose logits a direction raises and lowers most, against the mean over the vocabulary.

    Source: nostalgebraist 2020 (logit lens); Bills et al. 2023, for directions.
    """
    norm, weight = model.unembedding.norm, model.unembedding.weight.double()
    x = direction.double()
    if norm.kind == "layer":
        x = x - x.mean()
    x = x if norm.weight is None else x * norm.weight.double()
    logits = weight @ x
    count = min(TOKENS, len(logits))
    return (
        tuple(written(model, token) for token in logits.topk(count).indices.tolist()),
        tuple(written(model, token) for token in (-logits).topk(count).indices.tolist()),
    )
