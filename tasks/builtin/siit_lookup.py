"""Looking up and counting on: after `B 3 D 7 A 1 C 4 A` comes ` 2`, one more than the digit after the first `A`.

The corrupt prompt has other keys in front of the digits, other digits, and asks for another key, so that whichever of
these is taken from it alone, another digit follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

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

    @staticmethod
    def of(words: Mapping[str, str], side: str = "") -> Lookup:
        """The lookup of these words, of the slots whose names begin with `side`."""
        digits = tuple(int(digit) for digit in listed(f"{side}digit", words))
        return Lookup(tuple(words[f"{side}keys"]), digits, words[f"{side}asked"])

    def filling(self, side: str = "") -> dict[str, str]:
        """Its words by slot, the names of which begin with `side`."""
        digits = numbered(f"{side}digit", [str(digit) for digit in self.digits])
        return {f"{side}keys": "".join(self.keys), **digits, f"{side}asked": self.asked}


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
        if pair := write({**clean.filling(), **lookup(rng).filling("other ")}):
            return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these parts, if digits differ within a prompt and all parts of the corrupt prompt matter."""
    clean, corrupt = Lookup.of(words), Lookup.of(words, "other ")
    if min(len(set(clean.digits)), len(set(corrupt.digits))) < len(KEYS):
        return None
    mixed = [replace(clean, **{part: getattr(corrupt, part)}) for part in ("keys", "digits", "asked")]
    if any(other.answer == clean.answer for other in (*mixed, corrupt)):
        return None
    return paired(clean, corrupt, words)


def paired(clean: Lookup, corrupt: Lookup, words: Mapping[str, str]) -> TextPair:
    """The prompt pair of these two, whose parts are `words`."""
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(f" {clean.answer}",),
        distractors=(f" {corrupt.answer}",),
        wording=Wording.of(words, f"the {PLACES[clean.keys.index(clean.asked)]} key is asked for"),
    )


_PARTS = {
    "keys": tuple("".join(keys) for keys in permutations(KEYS)),
    **numbered("digit", [tuple(str(digit) for digit in range(10))] * len(KEYS)),
    "asked": KEYS,
}
SLOTS = Slots({**_PARTS, **{f"other {slot}": choices for slot, choices in _PARTS.items()}}, write)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("first key", "The first key is asked for.", usual.where(lambda w: w["keys"].startswith(w["asked"]))),
        Variation("last key", "The last key is asked for.", usual.where(lambda w: w["keys"].endswith(w["asked"]))),
        Variation("after nine", "The digit is 9, so that 0 comes after it.", usual.where(_after_nine)),
        Variation("equal digits", "Two of the digits are the same.", _equal_digits()),
        Variation(
            "new orders",
            "The model was never trained on the keys in this order with this question.",
            usual.where(lambda words: is_held_out(*words["keys"], words["asked"])),
        ),
    )


def _after_nine(words: Mapping[str, str]) -> bool:
    return Lookup.of(words).answer == 0


def _equal_digits() -> TemplatePrompts:
    return TemplatePrompts.of(Slots(SLOTS.choices, _write))


def _write(words: Mapping[str, str]) -> TextPair | None:
    """Lookups of which the clean one has a digit twice, and the corrupt one no key or digit in the same place."""
    clean, corrupt = Lookup.of(words), Lookup.of(words, "other ")
    alone = [Lookup(corrupt.keys, clean.digits, clean.asked), Lookup(clean.keys, corrupt.digits, clean.asked)]
    alone += [Lookup(clean.keys, clean.digits, corrupt.asked), corrupt]
    if len(set(clean.digits)) != 3 or any(other.answer == clean.answer for other in alone):
        return None
    return paired(clean, corrupt, words)


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
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
