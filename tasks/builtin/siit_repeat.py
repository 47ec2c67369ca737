"""Adding or subtracting: after `3 1 A F C A` comes ` 4`, and after `3 1 A F C E` comes ` 2`.

If the last letter has occurred before, the two digits are added, otherwise the smaller is taken from the larger. In the
corrupt prompt the digits are other ones and the last letter repeats only if it does not in the clean one, so that
whichever part of it is taken alone, another digit follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

LETTERS = ("A", "B", "C", "D", "E", "F", "G", "H")
PLACES = ("first", "second", "third")


@dataclass(frozen=True)
class Repeat:
    """Two digits, different letters, and the last letter."""

    first: int
    second: int
    letters: tuple[str, ...]
    last: str

    @property
    def answer(self) -> int:
        """The sum of the digits if the last letter has occurred before, otherwise their distance."""
        return self.first + self.second if self.last in self.letters else abs(self.first - self.second)

    @property
    def text(self) -> str:
        """The prompt."""
        return " ".join((str(self.first), str(self.second), *self.letters, self.last))


def repeat(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> Repeat:
    """Digits from 1 to 4, so that sum and distance are different digits; every second time the last letter repeats.

    A combination is the letters in their order, the last included.
    """
    while True:
        drawn = [str(letter) for letter in rng.permutation(LETTERS)]
        letters = tuple(drawn[: len(PLACES)])
        last = drawn[int(rng.integers(3))] if rng.random() < 0.5 else drawn[3]
        if among.admits(*letters, last):
            return Repeat(int(rng.integers(1, 5)), int(rng.integers(1, 5)), letters, last)


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A prompt, and another one all parts of which matter."""
    clean = repeat(rng, among)
    while True:
        corrupt = repeat(rng)
        parts = ("first", "second", "letters", "last")
        mixed = [replace(clean, **{part: getattr(corrupt, part)}) for part in parts]
        otherwise = (corrupt.last in corrupt.letters) != (clean.last in clean.letters)
        if otherwise and all(other.answer != clean.answer for other in (*mixed, corrupt)):
            break
    place = f"the {PLACES[clean.letters.index(clean.last)]}" if clean.last in clean.letters else "no"
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(f" {clean.answer}",),
        distractors=(f" {corrupt.answer}",),
        template=f"the last letter repeats {place} letter",
    )


def task() -> Task:
    """The task `siit_repeat`."""
    return Task(
        name="siit_repeat",
        about=About(
            "Adds two digits if the last letter repeats, else subtracts: 3 1 A F C A -> 4, 3 1 A F C E -> 2.",
            "in the manner of Gupta et al. 2024 (InterpBench, arXiv:2407.14494)",
        ),
        model="siit-repeat-3l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
