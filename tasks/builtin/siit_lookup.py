"""Looking up and counting on: after `B 3 D 7 A 1 C 4 A` comes ` 2`, one more than the digit after the first `A`.

The corrupt prompt has other keys in front of the digits, other digits, and asks for another key, so that whichever of
these is taken from it alone, another digit follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

KEYS = ("A", "B", "C", "D")
PLACES = ("first", "second", "third", "fourth")


@dataclass(frozen=True)
class Lookup:
    """Every key once, a digit after each, and the key that is asked for."""

    keys: tuple[str, ...]
    digits: tuple[int, ...]
    asked: str

    @property
    def answer(self) -> int:
        """One more than the digit after the key, 0 after 9."""
        return (self.digits[self.keys.index(self.asked)] + 1) % 10

    @property
    def text(self) -> str:
        """The prompt."""
        return " ".join((*(f"{key} {digit}" for key, digit in zip(self.keys, self.digits, strict=True)), self.asked))


def lookup(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> Lookup:
    """Keys in any order, different digits. A combination is the keys in their order and the key that is asked for."""
    while True:
        keys, asked = tuple(str(key) for key in rng.permutation(KEYS)), str(rng.choice(KEYS))
        if among.admits(*keys, asked):
            return Lookup(keys, tuple(rng.permutation(10)[: len(KEYS)].tolist()), asked)


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A lookup, and another one all parts of which matter."""
    clean = lookup(rng, among)
    while True:
        corrupt = lookup(rng)
        mixed = [replace(clean, **{part: getattr(corrupt, part)}) for part in ("keys", "digits", "asked")]
        if all(other.answer != clean.answer for other in (*mixed, corrupt)):
            break
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(f" {clean.answer}",),
        distractors=(f" {corrupt.answer}",),
        template=f"the {PLACES[clean.keys.index(clean.asked)]} key is asked for",
    )


def task() -> Task:
    """The task `siit_lookup`."""
    return Task(
        name="siit_lookup",
        about=About(
            "Looks up the digit after a key and counts one on: B 3 D 7 A 1 C 4 A -> 2.",
            "in the manner of Gupta et al. 2024 (InterpBench, arXiv:2407.14494)",
        ),
        model="siit-lookup-3l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
