"""Adding letters: after `So the B of d by` comes ` 4`: B is 1 and d is 3, and above 5 it starts again at 0.

The corrupt prompt has two other letters, either of which makes another sum with the letter it does not replace. Models
with a planted circuit do this: `planted-and:0` and other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acdc.tasks.builtin.planted_copy import FILLERS
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

CAPITALS = ("A", "B", "C", "D", "E", "F")
SIZE = len(CAPITALS)
SUMMANDS = ("first", "second", "other first", "other second")
"""The letters of the clean prompt, and those of the corrupt one."""


def draw(rng: np.random.Generator) -> TextPair:
    """Two letters and two others, of another sum."""
    first, second = (int(letter) for letter in rng.integers(SIZE, size=2))
    while True:
        third, fourth = (int(letter) for letter in rng.integers(SIZE, size=2))
        if third != first and fourth != second and (third + fourth - first - second) % SIZE:
            break
    letters = [CAPITALS[letter] for letter in (first, second, third, fourth)]
    fillers, others = ([FILLERS[number] for number in rng.integers(len(FILLERS), size=3)] for _ in range(2))
    drawn = dict(zip(SUMMANDS, letters, strict=True))
    pair = write({**drawn, **numbered("word", fillers), **numbered("other word", others)})
    assert pair is not None  # each of the corrupt prompt's letters makes another sum
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if each letter of the corrupt prompt differs and makes another sum."""
    first, second, third, fourth = (CAPITALS.index(words[summand]) for summand in SUMMANDS)
    if third == first or fourth == second or not (third + fourth - first - second) % SIZE:
        return None
    return TextPair(
        clean=_text(listed("word", words), first, second),
        corrupt=_text(listed("other word", words), third, fourth),
        answers=(f" {(first + second) % SIZE}",),
        distractors=(f" {(third + fourth) % SIZE}",),
        wording=Wording.of(words, f"the first letter is {CAPITALS[first]}"),
    )


def _text(fillers: Sequence[str], first: int, second: int) -> str:
    before, between, after = fillers
    return f"So {before} {CAPITALS[first]} {between} {CAPITALS[second].lower()} {after}"


SLOTS = Slots(
    {
        **dict.fromkeys(SUMMANDS, CAPITALS),
        **numbered("word", [FILLERS] * 3),
        **numbered("other word", [FILLERS] * 3),
    },
    write,
)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("below six", "The sum does not start again at 0.", usual.where(lambda words: _sum(words) < SIZE)),
        Variation("six or more", "The sum starts again at 0.", usual.where(lambda words: _sum(words) >= SIZE)),
        Variation("one letter twice", "A letter is added to itself.", usual.where(lambda w: w["first"] == w["second"])),
        Variation("nothing added", "One of the letters is A.", usual.where(lambda w: "A" in (w["first"], w["second"]))),
    )


def _sum(words: Mapping[str, str]) -> int:
    return CAPITALS.index(words["first"]) + CAPITALS.index(words["second"])


def task() -> Task:
    """The task `planted_sum`."""
    return Task(
        name="planted_sum",
        about=About("Adds two letters, A being 0, and F followed by A: So the B of d by -> 4.", "made up here in 2026"),
        model="planted-and:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
