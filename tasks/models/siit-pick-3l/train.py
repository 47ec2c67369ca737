"""Train `siit-pick-3l`, which picks a digit and adds another along seven edges: `python train.py --out DIR`."""

from __future__ import annotations

from torch import Tensor

from acdc.tasks.builtin.siit_pick import PLACES, pick
from acdc.tasks.builtin.vocabulary import DIGITS
from acdc.tasks.models.training.aligned import AlignedModel
from acdc.tasks.models.training.program import Program, Variable

ZERO, FIRST = (
    2,
    13,
)  # the tokens of the digit 0, after the tokenizer's two special ones, and of the first place's letter


def picked(letter: Tensor, digits: Tensor) -> Tensor:
    """The digit at the place that the letter stands for."""
    return digits.gather(1, letter[:, None] - FIRST + 1)[:, 0]


def total(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two digits."""
    return one + other - ZERO


PROGRAM = Program(
    "The digit at the place that the first letter stands for, plus the last digit.",
    (
        Variable("the place to pick from", "a0.h1", (("input", "v"),), lambda tokens: tokens[:, 0]),
        Variable("the digit picked", "a1.h2", (("a0.h1", "q"), ("input", "v")), picked),
        Variable("the digit to add", "a2.h0", (("input", "v"),), lambda tokens: tokens[:, 5]),
        Variable("the sum", "m2", (("a1.h2", ""), ("a2.h0", "")), total),
        Variable("the answer", "logits", (("m2", ""),), lambda answer: answer),
    ),
)
ALIGNED = AlignedModel(
    "siit_pick", PROGRAM, lambda rng, among: pick(rng, among).text, (*DIGITS, "=", *PLACES), steps=1500
)


if __name__ == "__main__":
    for line in ALIGNED.trained(__doc__):
        print(line, flush=True)
