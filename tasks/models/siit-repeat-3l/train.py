"""Train `siit-repeat-3l`, which adds or subtracts along eight known edges: `python train.py --out DIR [--seed 0]`."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.builtin.siit_repeat import LETTERS, repeat
from tasks.builtin.vocabulary import DIGITS
from tasks.models.lesson import Lesson
from tasks.models.program import Program, Variable

ZERO = 2  # the token of the digit 0, after the tokenizer's two special ones


def repeats(last: Tensor, letters: Tensor) -> Tensor:
    """Whether the last token is one of the three letters before it."""
    return (letters[:, 2:5] == last[:, -1:]).any(1)


def combined(added: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The sum of both digits, or their distance."""
    return torch.where(added, first + second - 2 * ZERO, (first - second).abs()) + ZERO


PROGRAM = Program(
    "The sum of the two digits if the last letter has occurred before, else the distance between them.",
    (
        Variable("whether the last letter repeats", "a0.h2", (("input", "q"), ("input", "k")), repeats),
        Variable("the first digit", "a1.h3", (("input", "v"),), lambda tokens: tokens[:, 0]),
        Variable("the second digit", "a2.h0", (("input", "v"),), lambda tokens: tokens[:, 1]),
        Variable("their sum or distance", "m2", (("a0.h2", ""), ("a1.h3", ""), ("a2.h0", "")), combined),
        Variable("the answer", "logits", (("m2", ""),), lambda answer: answer),
    ),
)
LESSON = Lesson("siit_repeat", PROGRAM, lambda rng, among: repeat(rng, among).text, (*DIGITS, *LETTERS), steps=1800)


if __name__ == "__main__":
    for line in LESSON.taught(__doc__):
        print(line, flush=True)
