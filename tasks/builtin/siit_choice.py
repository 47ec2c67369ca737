"""Choosing a summand: after `3 1 2 A F C A` comes ` 5`, and after `3 1 2 A F C E` comes ` 3`.

If the last letter has occurred before, the first digit is added to the third, otherwise the second.
The corrupt prompt chooses otherwise and has other digits and letters, so that whichever of these is taken from it
alone, another digit follows.
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
class Choice:
    """The two digits to choose from, the digit to add, different letters, and the last letter."""

    choices: tuple[int, ...]
    added: int
    letters: tuple[str, ...]
    last: str

    @property
    def repeats(self) -> bool:
        """Whether the last letter has occurred before."""
        return self.last in self.letters

    @property
    def chosen(self) -> int:
        """The first digit if the last letter repeats, otherwise the second."""
        return self.choices[0 if self.repeats else 1]

    @property
    def answer(self) -> int:
        """The sum."""
        return self.chosen + self.added

    @property
    def text(self) -> str:
        """The prompt."""
        return " ".join((*map(str, self.choices), str(self.added), *self.letters, self.last))


def choice(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> Choice:
    """Digits from 0 to 4, so that the sum is a digit, the two to choose from different; the last letter repeats in every second draw, each of the three alike.

    A combination is the letters in their order, the last included.
    """
    while True:
        drawn = [str(letter) for letter in rng.permutation(LETTERS)]
        letters = tuple(drawn[: len(PLACES)])
        last = drawn[int(rng.integers(3))] if rng.random() < 0.5 else drawn[3]
        if among.admits(*letters, last):
            return Choice(tuple(rng.permutation(5)[:2].tolist()), int(rng.integers(5)), letters, last)


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A choice, and another one all parts of which matter."""
    clean = choice(rng, among)
    while True:
        corrupt = choice(rng)
        parts = ("choices", "added", "letters", "last")
        mixed = [replace(clean, **{part: getattr(corrupt, part)}) for part in parts]
        chosen_otherwise = corrupt.repeats != clean.repeats and corrupt.chosen != clean.chosen
        if chosen_otherwise and all(other.answer != clean.answer for other in (*mixed, corrupt)):
            break
    place = f"the {PLACES[clean.letters.index(clean.last)]}" if clean.repeats else "no"
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(f" {clean.answer}",),
        distractors=(f" {corrupt.answer}",),
        template=f"the last letter repeats {place} letter",
    )


def task() -> Task:
    """The task `siit_choice`."""
    return Task(
        name="siit_choice",
        about=About(
            "Adds to the third digit the first if the last letter repeats, else the second: 3 1 2 A F C A -> 5.",
            "in the manner of Gupta et al. 2024 (InterpBench, arXiv:2407.14494)",
        ),
        model="siit-choice-3l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
