"""Proportion, as a program compiled to weights computes it: which part of the letters up to each place is an x.

The model writes one number, the logit of `<number>`; all its other logits are 0, so the clean prompts have an x up to
the scored place for `<number>` to be the answer. The corrupt ones have another share of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acdc.tasks.pairs import Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

LETTERS = ("w", "x", "y", "z")
LONGEST = 5


def draw(rng: np.random.Generator) -> TextPair:
    """Two to five letters, of which one is where the share is asked for; the distractor is a logit that is always 0."""
    length = int(rng.integers(2, LONGEST + 1))
    position = int(rng.integers(length))
    while True:
        clean, corrupt = ([LETTERS[letter] for letter in rng.integers(len(LETTERS), size=length)] for _ in range(2))
        letters = {**numbered("letter", clean), **numbered("other letter", corrupt)}
        if pair := write({**letters, "position": str(position + 1)}):
            return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these letters, if the clean one has an x so far, and the corrupt one another share."""
    clean, corrupt, position = listed("letter", words), listed("other letter", words), int(words["position"]) - 1
    if position >= len(clean) or not 0 < clean[: position + 1].count("x") != corrupt[: position + 1].count("x"):
        return None
    return TextPair(
        clean=" ".join(clean),
        corrupt=" ".join(corrupt),
        answers=(" <number>",),
        distractors=(" w",),
        scoring=Scoring(position),
        wording=Wording.of(words, f"{len(clean)} letters"),
    )


SLOTS = Slots(
    {
        **numbered("letter", [LETTERS] * LONGEST),
        **numbered("other letter", [LETTERS] * LONGEST),
        "position": tuple(str(index) for index in range(1, LONGEST + 1)),
    },
    write,
)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("one x", "The sequence has a single x.", usual.where(lambda w: listed("letter", w).count("x") == 1)),
        Variation(
            "nearly all x",
            "At most one letter is no x.",
            usual.where(lambda words: listed("letter", words).count("x") >= len(listed("letter", words)) - 1),
        ),
        Variation("longest", "The sequence is as long as can be.", usual.where(lambda w: f"letter {LONGEST}" in w)),
        Variation(
            "first place", "The first place is asked for, and has an x.", usual.where(lambda w: w["position"] == "1")
        ),
    )


def task() -> Task:
    """The task `tracr_proportion`."""
    return Task(
        name="tracr_proportion",
        about=About(
            "Gives the share of x among the letters so far: x w x z -> 1, 1/2, 2/3, 1/2.",
            "Lindner et al. 2023, Tracr, arXiv:2301.05062",
        ),
        model="tracr:proportion",
        metric="l2",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
