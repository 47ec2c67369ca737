"""Train `siit-lookup-3l`, which looks up a digit along six known edges: `python train.py --out DIR [--seed 0]`."""

from __future__ import annotations

from torch import Tensor

from acdc.tasks.builtin.siit_lookup import KEYS, lookup
from acdc.tasks.builtin.vocabulary import DIGITS
from acdc.tasks.models.training.aligned import AlignedModel
from acdc.tasks.models.training.program import Program, Variable

ZERO = 2  # the token of the digit 0, after the tokenizer's two special ones


def previous(tokens: Tensor) -> Tensor:
    """The key before each digit."""
    return tokens[:, 0:8:2]


def fetched(asked: Tensor, keys: Tensor, digits: Tensor) -> Tensor:
    """The digit whose key is the last token."""
    return (digits[:, 1:8:2] * (keys == asked[:, -1:])).sum(1)


def successor(digit: Tensor) -> Tensor:
    """The next digit, 0 after 9."""
    return (digit - ZERO + 1) % 10 + ZERO


PROGRAM = Program(
    "The digit after the first occurrence of the last key, plus 1 modulo 10.",
    (
        Variable("the key before each digit", "a0.h1", (("input", "v"),), previous),
        Variable("the digit after the key", "a1.h2", (("input", "q"), ("a0.h1", "k"), ("input", "v")), fetched),
        Variable("the next digit", "m2", (("a1.h2", ""),), successor),
        Variable("the answer", "logits", (("m2", ""),), lambda answer: answer),
    ),
)
ALIGNED = AlignedModel("siit_lookup", PROGRAM, lambda rng, among: lookup(rng, among).text, (*DIGITS, *KEYS), steps=1200)


if __name__ == "__main__":
    for line in ALIGNED.trained(__doc__):
        print(line, flush=True)
