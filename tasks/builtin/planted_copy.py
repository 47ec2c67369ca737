"""Repeating a letter: after `So the C of on by` comes ` c`.

The corrupt prompt has no letter, so that nothing follows from it. Models with a planted circuit do this, more than once
over: `planted-or:0`, `planted-backup:0` and other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acdc.tasks.builtin.vocabulary import words
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

LETTERS = ("A", "B", "C", "D", "E", "F", "G", "H")
FILLERS = words("the of and by in on at to")


def draw(rng: np.random.Generator, letters: Sequence[str] = LETTERS) -> TextPair:
    """One of these letters among other words, and other words alone."""
    around = [FILLERS[index] for index in rng.integers(len(FILLERS), size=4)]
    letter, other = (letters[index] for index in rng.permutation(len(letters))[:2])
    instead = [FILLERS[index] for index in rng.integers(len(FILLERS), size=5)]
    drawn = {"letter": letter, "other letter": other}
    pair = write({**drawn, **numbered("word", around), **numbered("other word", instead)})
    assert pair is not None  # the letters differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if the letter differs from that of the distractor."""
    letter, other, around = words["letter"], words["other letter"], listed("word", words)
    if letter == other:
        return None
    return TextPair(
        clean=f"So {around[0]} {letter} {' '.join(around[1:])}",
        corrupt=f"So {' '.join(listed('other word', words))}",
        answers=(" " + letter.lower(),),
        distractors=(" " + other.lower(),),
        wording=Wording.of(words, f"the letter is {letter}"),
    )


SLOTS = Slots(
    {
        **dict.fromkeys(("letter", "other letter"), LETTERS),
        **numbered("word", [FILLERS] * 4),
        **numbered("other word", [FILLERS] * 5),
    },
    write,
)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("other letter", "The corrupt prompt has another letter in its place.", _letters(2, another=True)),
        Variation(
            "a word twice",
            "The words right before and after the letter are one and the same.",
            usual.where(lambda words: words["word 1"] == words["word 2"]),
        ),
        Variation("a place later", "The letter stands one place further on.", _letters(3)),
    )


def _letters(index: int, another: bool = False) -> TemplatePrompts:
    """A letter at this place among words; in the corrupt prompt there is none, or another one."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        letter, other = words["letter"], words["other letter"]
        if letter == other:
            return None
        sides = []
        for fillers, here in ((listed("word", words), letter), (listed("other word", words), other if another else "")):
            before, after = fillers[: index - 1], fillers[index - 1 :]
            sides.append(" ".join(["So", *before, *([here] if here else []), *after]))
        return TextPair(
            clean=sides[0],
            corrupt=sides[1],
            answers=(" " + letter.lower(),),
            distractors=(" " + other.lower(),),
            wording=Wording.of(words, f"the letter is {letter}"),
        )

    return TemplatePrompts.of(
        Slots(
            {
                **dict.fromkeys(("letter", "other letter"), LETTERS),
                **numbered("word", [FILLERS] * 4),
                **numbered("other word", [FILLERS] * (4 if another else 5)),
            },
            write,
        )
    )


def task() -> Task:
    """The task `planted_copy`."""
    return Task(
        name="planted_copy",
        about=About("Repeats the only letter: So the C of on by -> c.", "made up here in 2026"),
        model="planted-or:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
