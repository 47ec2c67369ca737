"""Periodic sequences: after `A B A B A` comes ` B`.

The corrupt prompt has the same length, other symbols and another period: neither the symbols nor the distances at which
they repeat survive in it, so a circuit must carry how the repetition is found as well as what is copied.
"""

from __future__ import annotations

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import DIGITS, LETTERS, WORDS
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

SYMBOLS = (*LETTERS, *DIGITS, *WORDS)
_KINDS = {"letters": LETTERS, "digits": DIGITS, "words": WORDS}


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A pattern of period 2 or 3 that breaks off in its third round; the answer continues it.

    A combination is two neighbouring symbols, in alphabetical order.
    """
    while True:
        kind = list(_KINDS)[rng.integers(len(_KINDS))]
        period = int(rng.integers(2, 4))
        drawn = [str(symbol) for symbol in rng.choice(_KINDS[kind], 5, replace=False)]
        clean, other = drawn[:period], drawn[period:]
        if all(among.admits(*sorted(pair)) for pair in zip(clean, [*clean[1:], clean[0]], strict=True)):
            break
    length = 2 * period + int(rng.integers(1, period + 1))
    return TextPair(
        clean=_repeat(clean, length),
        corrupt=_repeat(other, length),
        answers=(" " + clean[length % len(clean)],),
        distractors=(" " + other[length % len(other)],),
        template=f"{kind}, period {period}",
    )


def _repeat(pattern: list[str], length: int) -> str:
    return " ".join(pattern[place % len(pattern)] for place in range(length))


def task() -> Task:
    """The task `periodic`."""
    return Task(
        name="periodic",
        about=About("Continues a periodic sequence: A B A B A -> B."),
        model="periodic-2l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
