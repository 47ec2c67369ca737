"""Where units are strongest: the prompts, or lines of a text file, at whose tokens each is most active."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.attacks.measuring import written
from acdc.errors import BadSetting
from acdc.graphs.features.tapped_run import tapped_run
from acdc.graphs.features.units import AbstractUnits
from acdc.graphs.model import Model
from acdc.problem import Problem

_ROWS = 16
"""How many texts run together."""
_LONGEST = 128
"""A line of more tokens is read as several of so many."""


@dataclass(frozen=True)
class UnitExample:
    """A text as its tokens, and a unit's activation at each of them; the strongest is at `at`."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]

    @property
    def at(self) -> int:
        """Which token the unit is most active at."""
        return max(range(len(self.activations)), key=lambda index: abs(self.activations[index]))

    @property
    def strength(self) -> float:
        """The activation there."""
        return self.activations[self.at]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"tokens": list(self.tokens), "activations": [round(each, 4) for each in self.activations]}


@dataclass(frozen=True)
class UnitExamples:
    """By unit, its strongest examples, the strongest first, and at which part of all tokens it is active."""

    strongest: tuple[tuple[UnitExample, ...], ...]
    often: tuple[float, ...]


def task_texts(problem: Problem) -> list[tuple[int, ...]]:
    """The clean and the corrupt prompts of a problem up to where they are scored, each once."""
    sides = (side[: pair.position + 1] for pair in problem.pairs.pairs for side in (pair.clean, pair.corrupt))
    return list(dict.fromkeys(sides))


def file_texts(model: Model, lines: Iterable[str]) -> list[tuple[int, ...]]:
    """The lines of a text as tokens, long ones in pieces; empty ones are left out.

    Raises: BadSetting when the model has no tokenizer, or nothing is left.
    """
    if model.tokenizer is None:
        raise BadSetting("the model has no tokenizer to read a text with; leave --texts out")
    limit = min(_LONGEST, model.identity.n_context or _LONGEST)
    texts = []
    for line in lines:
        tokens = tuple(model.tokenizer(line.rstrip("\n"))["input_ids"]) if line.strip() else ()
        texts += [tokens[start : start + limit] for start in range(0, len(tokens), limit)]
    if not texts:
        raise BadSetting("the text file has no line with anything in it; give one with a text on each line")
    return list(dict.fromkeys(texts))


@torch.no_grad()
def unit_examples(
    model: Model, units: AbstractUnits, chosen: Sequence[int], texts: Sequence[tuple[int, ...]], count: int
) -> UnitExamples:
    """The strongest examples of the chosen units among these texts: those of which a unit is on at any token."""
    found: list[list[UnitExample]] = [[] for _ in chosen]
    on, total = torch.zeros(len(chosen)), 0
    for length in sorted({len(text) for text in texts}):
        alike = [text for text in texts if len(text) == length]
        for start in range(0, len(alike), _ROWS):
            some = alike[start : start + _ROWS]
            tokens = torch.tensor(some, device=model.device)
            read = tapped_run(model, tokens, {units.reads}).found[units.reads]
            active = units.activations(read)[..., list(chosen)].float().cpu()
            on += (active != 0).sum((0, 1))
            total += tokens.numel()
            for index in range(len(chosen)):
                found[index] = _strongest(model, found[index], some, active[..., index], count)
    return UnitExamples(tuple(map(tuple, found)), tuple((on / max(1, total)).tolist()))


def _strongest(
    model: Model,
    known: list[UnitExample],
    texts: Sequence[tuple[int, ...]],
    active: Float[Tensor, "text pos"],
    count: int,
) -> list[UnitExample]:
    best = active.abs().amax(1)
    order = best.argsort(descending=True, stable=True)[:count].tolist()
    new = [
        UnitExample(tuple(written(model, token) for token in texts[row]), tuple(active[row].tolist()))
        for row in order
        if best[row] > 0
    ]
    return sorted([*known, *new], key=lambda each: -abs(each.strength))[:count]
