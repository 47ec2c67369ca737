"""Induction: in a random sequence that repeats, the word that followed the current one before comes again.

The corrupt prompt consists of other words none of which repeats, so nothing in it can be copied; the distractor is
another word of the clean sequence, which tells copying the right word from copying any word.
"""

from __future__ import annotations

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import WORDS
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """Five to eight different words, then the beginning of the same words again; the answer is the next of them.

    A combination is two neighbouring words, in alphabetical order. Held-out draws are those whose current word and
    answer are held out; trained draws have no held-out neighbours at all.
    """
    length = int(rng.integers(5, 9))
    while True:
        drawn = [str(word) for word in rng.choice(WORDS, 3 * length, replace=False)]
        first, other = drawn[:length], drawn[length:]
        # The first word is left out as the current one: at the start of a text many tokenizers write it differently.
        repeated = int(rng.integers(2, length))
        neighbours = [sorted(pair) for pair in zip(first, [*first[1:], first[0]], strict=True)]
        asked = neighbours if among is Combinations.TRAINED else neighbours[repeated - 1 : repeated]
        if all(among.admits(*pair) for pair in asked):
            break
    wrong = [word for word in first if word != first[repeated]]
    return TextPair(
        clean=" ".join([*first, *first[:repeated]]),
        corrupt=" ".join(other[: length + repeated]),
        answers=(" " + first[repeated],),
        distractors=(" " + wrong[rng.integers(len(wrong))],),
        template=f"{length} words",
    )


def task() -> Task:
    """The task `induction`."""
    return Task(
        name="induction",
        about=About(
            "Repeats what followed a word before: cat sun map tree ... cat sun -> map.",
            "Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895",
        ),
        model="everyday-4l",
        metric="kl",
        prompts=TemplatePrompts(draw),
    )
