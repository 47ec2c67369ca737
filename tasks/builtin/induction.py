"""Induction: in a random sequence that repeats, the word that followed the current one before comes again.

The corrupt prompt consists of other words none of which repeats, so nothing in it can be copied; the distractor is
another word of the clean sequence, which tells copying the right word from copying any word.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import WORDS
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import About, Task
from tasks.tokenisation import TextPair

LONGEST = 8


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """Five to eight different words, then the beginning of the same words again; the answer is the next of them.

    A combination is two neighbouring words, in alphabetical order. Held-out draws are those whose current word and
    answer are held out; trained draws have no held-out neighbours at all.
    """
    length = int(rng.integers(5, LONGEST + 1))
    while True:
        drawn = [str(word) for word in rng.choice(WORDS, 3 * length, replace=False)]
        first, other = drawn[:length], drawn[length:]
        # The first word is left out as the current one: at the start of a text many tokenizers write it differently.
        repeated = int(rng.integers(2, length))
        neighbours = [sorted(pair) for pair in zip(first, [*first[1:], first[0]], strict=True)]
        asked = neighbours if among is Combinations.TRAINED else neighbours[repeated - 1 : repeated]
        if all(among.admits(*pair) for pair in asked):
            break
    wrong = [place for place in range(length) if place != repeated]
    which = {"repeated": str(repeated), "distractor": str(1 + wrong[rng.integers(len(wrong))])}
    pair = write({**numbered("word", first), **numbered("other word", other), **which})
    assert pair is not None  # the words differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if all differ; `distractor` is the place of one that is not the answer.

    The corrupt prompt takes as many of the other words as it needs.
    """
    first, other = listed("word", words), listed("other word", words)
    repeated, wrong = int(words["repeated"]), int(words["distractor"]) - 1
    if len({*first, *other}) < len(first) + len(other) or not max(repeated, wrong) < len(first) or wrong == repeated:
        return None
    return TextPair(
        clean=" ".join([*first, *first[:repeated]]),
        corrupt=" ".join(other[: len(first) + repeated]),
        answers=(" " + first[repeated],),
        distractors=(" " + first[wrong],),
        template=f"{len(first)} words",
        filling=tuple(words.items()),
    )


SLOTS = Slots(
    {
        **numbered("word", [WORDS] * LONGEST),
        **numbered("other word", [WORDS] * (2 * LONGEST)),
        "repeated": tuple(str(count) for count in range(2, LONGEST)),
        "distractor": tuple(str(place) for place in range(1, LONGEST + 1)),
    },
    write,
)


def task() -> Task:
    """The task `induction`."""
    from tasks.variations.induction import variations  # which draws with what is above

    return Task(
        name="induction",
        about=About(
            "Repeats what followed a word before: cat sun map tree ... cat sun -> map.",
            "Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895",
        ),
        model="everyday-4l",
        metric="kl",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
