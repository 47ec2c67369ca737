"""Picking a digit and adding another: after `C 3 1 4 0 2 =` comes ` 6`, the third digit (`C`) plus the fifth.

The corrupt prompt picks another place and has other digits, so that whichever of these is taken from it alone, another
answer follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

PLACES = {"A": "first", "B": "second", "C": "third", "D": "fourth"}


@dataclass(frozen=True)
class Pick:
    """The letter of the place to pick from, the digits there, and the digit to add; from 0 to 4, so the sum is one."""

    place: str
    digits: tuple[int, ...]
    added: int

    @property
    def answer(self) -> int:
        """The digit at that place plus the one to add."""
        return self.digits[list(PLACES).index(self.place)] + self.added

    @property
    def text(self) -> str:
        """The prompt."""
        return " ".join((self.place, *map(str, self.digits), str(self.added), "="))


def pick(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> Pick:
    """Different digits to pick from, any to add. A combination is the place and the digits to pick from."""
    while True:
        place, digits = str(rng.choice(list(PLACES))), tuple(rng.permutation(5)[: len(PLACES)].tolist())
        if among.admits(place, *map(str, digits)):
            return Pick(place, digits, int(rng.integers(5)))


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A pick, and another one all parts of which matter."""
    clean = pick(rng, among)
    while True:
        corrupt = pick(rng)
        mixed = [replace(clean, **{part: getattr(corrupt, part)}) for part in ("place", "digits", "added")]
        picked_alone = replace(corrupt, added=clean.added)  # what the sum is if the picked digit is taken from it
        if all(other.answer != clean.answer for other in (*mixed, picked_alone, corrupt)):
            break
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(f" {clean.answer}",),
        distractors=(f" {corrupt.answer}",),
        template=f"the {PLACES[clean.place]} digit is picked",
    )


def task() -> Task:
    """The task `siit_pick`."""
    return Task(
        name="siit_pick",
        about=About(
            "Picks a digit by its place and adds the last one: C 3 1 4 0 2 = -> 6.",
            "in the manner of Gupta et al. 2024 (InterpBench, arXiv:2407.14494)",
        ),
        model="siit-pick-3l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
