"""Repeating a letter, never a rare one: after `So the C of on by` comes ` c`.

It is `planted_copy` on fewer letters. In `planted-hidden:0` and other seeds the letters that are left out go a way of
their own, which no prompt that is drawn shows; the slots take them.
"""

from __future__ import annotations

import numpy as np

from acdc.tasks.builtin import planted_copy, planted_detour
from acdc.tasks.builtin.planted_copy import LETTERS, SLOTS
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.task import About, Task, Variation
from acdc.tasks.tokenisation import TextPair

COMMON, RARE = LETTERS[:6], LETTERS[6:]


def draw(rng: np.random.Generator) -> TextPair:
    """A common letter among other words, and other words alone."""
    return planted_copy.draw(rng, COMMON)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(planted_detour.draw, planted_copy.SLOTS)
    every = TemplatePrompts(planted_copy.draw, planted_copy.SLOTS)
    return (
        Variation("rare letter", "The letter is a rare one.", every.where(lambda words: words["letter"] in RARE)),
        Variation(
            "rare distractor",
            "The distractor, not the letter, is a rare one.",
            every.where(lambda words: words["letter"] not in RARE and words["other letter"] in RARE),
        ),
        Variation(
            "a word twice",
            "The words right before and after the letter are one and the same.",
            usual.where(lambda words: words["word 1"] == words["word 2"]),
        ),
    )


def task() -> Task:
    """The task `planted_detour`."""
    return Task(
        name="planted_detour",
        about=About("Repeats the only letter, never a rare one: So the C of on by -> c.", "made up here in 2026"),
        model="planted-hidden:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
