"""One-digit addition, in digits and in words: `3 + 4 =` -> ` 7`, `three plus four is` -> ` seven`.

The corrupt prompt adds two other digits that have another sum; that sum is the distractor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.builtin.combinations import Combinations, is_held_out
from tasks.builtin.vocabulary import words
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
from tasks.task import About, Task
from tasks.tokenisation import TextPair

NUMBERS = words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen
    """
)
FIGURES = tuple(str(number) for number in range(19))
TEMPLATES = {
    "{} + {} =": FIGURES,
    "So {} + {} =": FIGURES,
    "{} plus {} is": NUMBERS,
    "So {} plus {} is": NUMBERS,
}
ADDENDS = ("first", "second", "other first", "other second")
"""The digits of the clean prompt, and those of the corrupt one."""


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """Two digits and their sum, from 0 to 18.

    A combination is the first and the second digit, in this order and in either notation. What is held out in both
    orders counts as trained: a held-out sum asks whether the order matters, not for digits that were never added.
    """
    while True:
        first, second = (int(digit) for digit in rng.integers(0, 10, 2))
        if among.takes(held_out(first, second)):
            break
    while True:
        third, fourth = (int(digit) for digit in rng.integers(0, 10, 2))
        if third + fourth != first + second:
            break
    digits = dict(zip(ADDENDS, map(str, (first, second, third, fourth)), strict=True))
    pair = write({**digits, "template": list(TEMPLATES)[rng.integers(len(TEMPLATES))]})
    assert pair is not None  # the sums differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these digits, written as the template writes them, if their sums differ."""
    first, second, third, fourth = (int(words[addend]) for addend in ADDENDS)
    if first + second == third + fourth:
        return None
    template = words["template"]
    written = TEMPLATES[template]
    return TextPair(
        clean=template.format(written[first], written[second]),
        corrupt=template.format(written[third], written[fourth]),
        answers=(" " + written[first + second],),
        distractors=(" " + written[third + fourth],),
        template=template,
        filling=tuple(words.items()),
    )


def held_out(first: int, second: int) -> bool:
    """Whether the shipped models never saw this sum in this order."""
    return is_held_out(str(first), str(second)) and not is_held_out(str(second), str(first))


SLOTS = Slots({**dict.fromkeys(ADDENDS, FIGURES[:10]), "template": tuple(TEMPLATES)}, write)


def task() -> Task:
    """The task `addition`."""
    from tasks.variations.addition import variations  # which draws with what is above

    return Task(
        name="addition",
        about=About("Adds two digits, in digits and in words: 3 + 4 = -> 7, three plus four is -> seven."),
        model="everyday-4l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
