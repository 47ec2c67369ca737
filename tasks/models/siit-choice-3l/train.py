"""Train `siit-choice-3l`, which chooses a summand along eight known edges: `python train.py --out DIR [--seed 0]`."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.builtin.siit_choice import LETTERS, choice
from tasks.builtin.vocabulary import DIGITS
from tasks.models.lesson import Lesson
from tasks.models.program import Program, Variable

ZERO = 2  # the token of the digit 0, after the tokenizer's two special ones


def repeats(last: Tensor, letters: Tensor) -> Tensor:
    """Whether the last token is one of the three letters before it."""
    return (letters[:, 3:6] == last[:, -1:]).any(1)


def chosen(repeated: Tensor, digits: Tensor) -> Tensor:
    """The first digit where the letter is repeated, else the second."""
    return torch.where(repeated, digits[:, 0], digits[:, 1])


def total(summand: Tensor, added: Tensor) -> Tensor:
    """The sum of both."""
    return summand + added - ZERO


PROGRAM = Program(
    "The third digit plus the first digit if the last letter has occurred before, else the second digit.",
    (
        Variable("whether the last letter repeats", "a0.h2", (("input", "q"), ("input", "k")), repeats),
        Variable("the digit to add", "a1.h3", (("input", "v"),), lambda tokens: tokens[:, 2]),
        Variable("the digit chosen", "a2.h0", (("a0.h2", "q"), ("input", "v")), chosen),
        Variable("the sum", "m2", (("a2.h0", ""), ("a1.h3", "")), total),
        Variable("the answer", "logits", (("m2", ""),), lambda answer: answer),
    ),
)
LESSON = Lesson("siit_choice", PROGRAM, lambda rng, among: choice(rng, among).text, (*DIGITS, *LETTERS), steps=1600)


if __name__ == "__main__":
    for line in LESSON.taught(__doc__):
        print(line, flush=True)
