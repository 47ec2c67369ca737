"""Reversal, as a program compiled to weights does it: at each place stands the letter as far from the other end.

Every letter of the corrupt prompt differs from the clean one in its place, so whichever place is scored, it calls for
another letter. Lengths vary, so that a mean over prompts tells one length from another.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acdc.tasks.pairs import Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

LETTERS = ("a", "b", "c", "d")
LONGEST = 5


def draw(rng: np.random.Generator) -> TextPair:
    """Two to five letters, of which one is asked for; the distractor is what the corrupt prompt has there."""
    length = int(rng.integers(2, LONGEST + 1))
    clean = rng.integers(len(LETTERS), size=length)
    corrupt = (clean + rng.integers(1, len(LETTERS), size=length)) % len(LETTERS)
    position = int(rng.integers(length))
    letters = numbered("letter", [LETTERS[letter] for letter in clean])
    others = numbered("other letter", [LETTERS[letter] for letter in corrupt])
    pair = write({**letters, **others, "position": str(position + 1)})
    assert pair is not None  # the letters differ in every place
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these letters, if they differ in every place, asked at a position that they have."""
    clean, corrupt, position = listed("letter", words), listed("other letter", words), int(words["position"]) - 1
    if position >= len(clean) or any(a == b for a, b in zip(clean, corrupt, strict=True)):
        return None
    opposite = len(clean) - 1 - position
    return TextPair(
        clean=" ".join(clean),
        corrupt=" ".join(corrupt),
        answers=(" " + clean[opposite],),
        distractors=(" " + corrupt[opposite],),
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
        Variation("first place", "The first place is asked for.", usual.where(lambda words: words["position"] == "1")),
        Variation(
            "middle",
            "The place in the middle is asked for, whose letter stays where it is.",
            usual.where(lambda words: 2 * int(words["position"]) == 1 + len(listed("letter", words))),
        ),
        Variation("longest", "The sequence is as long as can be.", usual.where(lambda w: f"letter {LONGEST}" in w)),
        Variation("two letters", "The sequence has two letters.", usual.where(lambda words: "letter 3" not in words)),
        Variation(
            "few letters",
            "All letters but one are the same.",
            usual.where(lambda words: sorted(_counts(listed("letter", words)))[:-1] == [1]),
        ),
    )


def _counts(letters: list[str]) -> list[int]:
    return [letters.count(letter) for letter in set(letters)]


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
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
