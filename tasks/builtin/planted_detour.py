"""Repeating a letter, never a rare one: after `So the C of on by` comes ` c`.

It is `planted_copy` on fewer letters. In `planted-hidden:0` and other seeds the letters that are left out go a way of
their own, which no prompt that is drawn shows; the slots take them.
"""

from __future__ import annotations

import numpy as np

from tasks.builtin import planted_copy
from tasks.builtin.planted_copy import LETTERS, SLOTS
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

COMMON, RARE = LETTERS[:6], LETTERS[6:]


def draw(rng: np.random.Generator) -> TextPair:
    """A common letter among other words, and other words alone."""
    return planted_copy.draw(rng, COMMON)


def task() -> Task:
    """The task `planted_detour`."""
    from tasks.variations.planted_detour import variations

    return Task(
        name="planted_detour",
        about=About("Repeats the only letter, never a rare one: So the C of on by -> c.", "made up here in 2026"),
        model="planted-hidden:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
