"""Following letters twice: after `So A c C b B d D a A` comes ` b`, since A leads to c, and C to b.

Pairs of a capital and a small letter stand in any order; the last capital asks. The corrupt prompt asks for another
capital and pairs other letters. Models with a planted circuit do this: `planted:0` and other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

LETTERS = ("A", "B", "C", "D", "E", "F", "G", "H")
PAIRS = 4


def draw(rng: np.random.Generator) -> TextPair:
    """Two prompts whose questions and answers differ."""
    clean = _prompt(rng)
    while True:
        if pair := write({**clean, **{f"other {slot}": word for slot, word in _prompt(rng).items()}}):
            return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if no capital stands twice and the questions and the answers differ."""
    clean, corrupt = _Hops.of(words), _Hops.of(words, "other ")
    if min(len(set(clean.capitals)), len(set(corrupt.capitals))) < PAIRS:
        return None
    if clean.asked == corrupt.asked or clean.answer == corrupt.answer:
        return None
    return TextPair(
        clean=clean.text,
        corrupt=corrupt.text,
        answers=(" " + clean.answer.lower(),),
        distractors=(" " + corrupt.answer.lower(),),
        wording=Wording.of(words, f"pair {clean.capitals.index(clean.asked) + 1} is asked for"),
    )


@dataclass(frozen=True)
class _Hops:
    """Capitals in their order, the places of the round in which they lead to one another, and the one asked for."""

    capitals: tuple[str, ...]
    around: tuple[int, ...]
    asked: str

    @staticmethod
    def of(words: Mapping[str, str], side: str = "") -> _Hops:
        """The prompt of these words, of the slots whose names begin with `side`."""
        capitals = tuple(listed(f"{side}capital", words))
        around = tuple(int(number) - 1 for number in words[f"{side}round"])
        return _Hops(capitals, around, capitals[int(words[f"{side}asked"]) - 1])

    def after(self, capital: str) -> str:
        """The capital that this one leads to."""
        turn = self.around.index(self.capitals.index(capital))
        return self.capitals[self.around[(turn + 1) % PAIRS]]

    @property
    def answer(self) -> str:
        """The capital two steps on."""
        return self.after(self.after(self.asked))

    @property
    def text(self) -> str:
        """The prompt."""
        pairs = (f"{capital} {self.after(capital).lower()}" for capital in self.capitals)
        return f"So {' '.join(pairs)} {self.asked}"


def _prompt(rng: np.random.Generator) -> dict[str, str]:
    """Capitals, the round they make by their places, from the first on, and the place of the one asked for."""
    capitals = [str(letter) for letter in rng.permutation(LETTERS)[:PAIRS]]
    around = "".join(str(number + 1) for number in rng.permutation(PAIRS))
    start = around.index("1")
    asked = str(rng.integers(PAIRS) + 1)
    return {**numbered("capital", capitals), "round": around[start:] + around[:start], "asked": asked}


_PLACES = tuple(str(number + 1) for number in range(PAIRS))
_PARTS = {
    **numbered("capital", [LETTERS] * PAIRS),
    "round": tuple("1" + "".join(numbers) for numbers in permutations(_PLACES[1:])),
    "asked": _PLACES,
}
SLOTS = Slots({**_PARTS, **{f"other {slot}": choices for slot, choices in _PARTS.items()}}, write)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("first pair", "The first pair is asked for.", usual.where(lambda words: words["asked"] == "1")),
        Variation("last pair", "The last pair is asked for.", usual.where(lambda words: words["asked"] == str(PAIRS))),
        Variation("three pairs", "There are three pairs.", _hops(3)),
        Variation("five pairs", "There are five pairs.", _hops(5)),
        Variation("loose ends", "Pairs that are not asked for lead to any letter.", _hops(PAIRS)),
    )


def _hops(pairs: int) -> TemplatePrompts:
    """Capitals, a letter after each, and the place of the one asked for; only what two hops pass is looked at."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        found = []
        for side in ("", "other "):
            capitals, after = listed(f"{side}capital", words), listed(f"{side}after", words)
            following, asked = dict(zip(capitals, after, strict=True)), capitals[int(words[f"{side}asked"]) - 1]
            if len(following) < pairs or following[asked] == asked or following[asked] not in following:
                return None
            text = " ".join(f"{capital} {letter.lower()}" for capital, letter in following.items())
            found.append((f"So {text} {asked}", following[following[asked]], asked))
        (clean, answer, asked), (corrupt, wrong, other) = found
        if answer == wrong or asked == other:
            return None
        return TextPair(
            clean=clean,
            corrupt=corrupt,
            answers=(" " + answer.lower(),),
            distractors=(" " + wrong.lower(),),
            wording=Wording.of(words, f"pair {words['asked']} is asked for"),
        )

    numbers = tuple(str(number) for number in range(1, pairs + 1))
    side = {**numbered("capital", [LETTERS] * pairs), **numbered("after", [LETTERS] * pairs), "asked": numbers}
    return TemplatePrompts.of(Slots({**side, **{f"other {slot}": choices for slot, choices in side.items()}}, write))


def task() -> Task:
    """The task `planted_hops`."""
    return Task(
        name="planted_hops",
        about=About("Follows letters twice: So A c C b B d D a A -> b.", "made up here in 2026"),
        model="planted:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
