"""Reversal, as a program compiled to weights does it: at each place stands the letter as far from the other end.

Every letter of the corrupt prompt differs from the clean one in its place, so whichever place is scored, it calls for
another letter. Lengths vary, so that a mean over prompts tells one length from another.
"""

from __future__ import annotations

import numpy as np

from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

LETTERS = ("a", "b", "c", "d")
LONGEST = 5


def draw(rng: np.random.Generator) -> TextPair:
    """Two to five letters, of which one is asked for; the distractor is what the corrupt prompt has there."""
    length = int(rng.integers(2, LONGEST + 1))
    clean = rng.integers(len(LETTERS), size=length)
    corrupt = (clean + rng.integers(1, len(LETTERS), size=length)) % len(LETTERS)
    position = int(rng.integers(length))
    opposite = length - 1 - position
    return TextPair(
        clean=" ".join(LETTERS[letter] for letter in clean),
        corrupt=" ".join(LETTERS[letter] for letter in corrupt),
        answers=(" " + LETTERS[clean[opposite]],),
        distractors=(" " + LETTERS[corrupt[opposite]],),
        position=position,
        template=f"{length} letters",
    )


def task() -> Task:
    """The task `tracr_reverse`."""
    return Task(
        name="tracr_reverse",
        about=About(
            "Writes a sequence in reverse, place by place: a b c d -> d c b a.",
            "Lindner et al. 2023, Tracr, arXiv:2301.05062",
        ),
        model="tracr:reverse",
        metric="l2",
        prompts=TemplatePrompts(draw),
    )
