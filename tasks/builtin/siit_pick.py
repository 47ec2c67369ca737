"""Picking a digit and adding another: after `C 3 1 4 0 2 =` comes ` 6`, the third digit (`C`) plus the fifth.

The corrupt prompt picks another place and has other digits, so that whichever of these is taken from it alone, another
answer follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

PLACES = {"A": "first", "B": "second", "C": "third", "D": "fourth"}
DIGITS = ("0", "1", "2", "3", "4")


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

    @staticmethod
    def of(words: Mapping[str, str], side: str = "") -> Pick:
        """The pick of these words, of the slots whose names begin with `side`."""
        digits = tuple(int(digit) for digit in listed(f"{side}digit", words))
        return Pick(words[f"{side}place"], digits, int(words[f"{side}added"]))

    def filling(self, side: str = "") -> dict[str, str]:
        """Its words by slot, the names of which begin with `side`."""
        digits = numbered(f"{side}digit", [str(digit) for digit in self.digits])
        return {f"{side}place": self.place, **digits, f"{side}added": str(self.added)}


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
        if pair := write({**clean.filling(), **pick(rng).filling("other ")}):
            return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these parts, if the digits to pick from differ and every part of the corrupt one matters."""
    clean, corrupt = Pick.of(words), Pick.of(words, "other ")
    if min(len(set(clean.digits)), len(set(corrupt.digits))) < len(PLACES):
        return None
    mixed = [replace(clean, **{part: getattr(corrupt, part)}) for part in ("place", "digits", "added")]
    picked_alone = replace(corrupt, added=clean.added)  # what the sum is if the picked digit is taken from it
    if any(other.answer == clean.answer for other in (*mixed, picked_alone, corrupt)):
        return None
    return paired(clean, corrupt, words)


def paired(clean: Pick, corrupt: Pick, words: Mapping[str, str]) -> TextPair:
    """The prompt pair of these two, whose parts are `words`."""
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(f" {clean.answer}",),
        distractors=(f" {corrupt.answer}",),
        wording=Wording.of(words, f"the {PLACES[clean.place]} digit is picked"),
    )


_PARTS = {"place": tuple(PLACES), **numbered("digit", [DIGITS] * len(PLACES)), "added": DIGITS}
SLOTS = Slots({**_PARTS, **{f"other {slot}": choices for slot, choices in _PARTS.items()}}, write)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("nothing added", "0 is added.", usual.where(lambda words: words["added"] == "0")),
        Variation("four added", "4 is added.", usual.where(lambda words: words["added"] == DIGITS[-1])),
        Variation("last place", "The fourth digit is picked.", usual.where(lambda w: w["place"] == list(PLACES)[-1])),
        Variation("equal digits", "Two of the digits to pick from are the same.", _equal_digits()),
        Variation(
            "new combinations",
            "The model was never trained on these digits with this place.",
            usual.where(lambda words: is_held_out(words["place"], *listed("digit", words))),
        ),
    )


def _equal_digits() -> TemplatePrompts:
    return TemplatePrompts.of(Slots(SLOTS.choices, _write))


def _write(words: Mapping[str, str]) -> TextPair | None:
    """Picks of which the clean one has a digit twice, and the corrupt one picks and adds other digits."""
    clean, corrupt = Pick.of(words), Pick.of(words, "other ")
    alone = [Pick(corrupt.place, clean.digits, clean.added), Pick(clean.place, corrupt.digits, clean.added)]
    alone += [Pick(clean.place, clean.digits, corrupt.added), Pick(corrupt.place, corrupt.digits, clean.added), corrupt]
    if len(set(clean.digits)) != 3 or any(other.answer == clean.answer for other in alone):
        return None
    return paired(clean, corrupt, words)


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
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
