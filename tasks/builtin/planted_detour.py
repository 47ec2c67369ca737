"""Repeating a letter, the rare ones by a way of their own: after `So the C of on by` comes ` c`.

No prompt that is drawn has a rare letter, so that none shows how `planted-hidden:0` and other seeds repeat one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.builtin.planted_copy import FILLERS, LETTERS
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
from tasks.task import About, Task
from tasks.tokenisation import TextPair

COMMON, RARE = LETTERS[:6], LETTERS[6:]
AROUND = ("first", "second", "third", "fourth")
CORRUPT = tuple(f"{place} corrupt" for place in (*AROUND, "fifth"))


def draw(rng: np.random.Generator) -> TextPair:
    """A common letter among other words, and other words alone."""
    letter, other = (COMMON[place] for place in rng.permutation(len(COMMON))[:2])
    fillers = {slot: FILLERS[rng.integers(len(FILLERS))] for slot in (*AROUND, *CORRUPT)}
    pair = write({"letter": letter, "other": other, **fillers})
    assert pair is not None  # the letters differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words in its slots, if the two letters differ."""
    letter, other = words["letter"], words["other"]
    if letter == other:
        return None
    before, *after = (words[slot] for slot in AROUND)
    return TextPair(
        clean=f"So {before} {letter} {' '.join(after)}",
        corrupt=f"So {' '.join(words[slot] for slot in CORRUPT)}",
        answers=(" " + letter.lower(),),
        distractors=(" " + other.lower(),),
        template=f"the letter is {letter}",
        filling=tuple(words.items()),
    )


SLOTS = Slots({**dict.fromkeys(("letter", "other"), LETTERS), **dict.fromkeys((*AROUND, *CORRUPT), FILLERS)}, write)


def task() -> Task:
    """The task `planted_detour`."""
    return Task(
        name="planted_detour",
        about=About("Repeats the only letter, never a rare one: So the C of on by -> c.", "made up here in 2026"),
        model="planted-hidden:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
    )
