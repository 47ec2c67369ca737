"""One-digit addition, in digits and in words: `3 + 4 =` -> ` 7`, `three plus four is` -> ` seven`.

The corrupt prompt adds two other digits that have another sum; that sum is the distractor.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.builtin.vocabulary import words
from acdc.tasks.pairs import Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.task import About, Task, Variation

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
        wording=Wording.of(words, template),
        scoring=Scoring(answers_as="first-difference"),
    )


def held_out(first: int, second: int) -> bool:
    """Whether the shipped models never saw this sum in this order."""
    return is_held_out(str(first), str(second)) and not is_held_out(str(second), str(first))


SLOTS = Slots({**dict.fromkeys(ADDENDS, FIGURES[:10]), "template": tuple(TEMPLATES)}, write)


PADDED = tuple(f"{number:02}" for number in range(19))
Notation = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""By template, how the addends are written and how the sum is."""
IN_SENTENCES: Notation = {
    "I think that {} + {} =": (FIGURES, FIGURES),
    "I think that {} plus {} is": (NUMBERS, NUMBERS),
    "Yesterday Mary found that {} plus {} is": (NUMBERS, NUMBERS),
    "Then, Mary had {} + {} =": (FIGURES, FIGURES),
}
OTHER_NOTATIONS: Notation = {
    "({} + {}) =": (FIGURES, FIGURES),
    "({}) + ({}) =": (FIGURES, FIGURES),
    "{}, {}: plus =": (FIGURES, FIGURES),
}
MIXED_NOTATIONS: Notation = {
    "{} plus {} is": (FIGURES, FIGURES),
    "So {} plus {} is": (FIGURES, FIGURES),
    "{} + {} =": (NUMBERS, NUMBERS),
    "So {} + {} =": (NUMBERS, NUMBERS),
}
ZERO_PADDED: Notation = {"{} + {} =": (PADDED, PADDED), "So {} + {} =": (PADDED, PADDED)}


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("words", "Addends and sum are words.", usual.where(lambda words: "plus" in words["template"])),
        Variation("zero-padded", "Every number has two digits: 03 + 04 = -> 07.", _written(ZERO_PADDED)),
        Variation(
            "swapped operands",
            "The shipped model was trained on these sums with their operands in the other order only.",
            usual.where(lambda words: held_out(int(words["first"]), int(words["second"]))),
        ),
        Variation("ten or more", "The sum has two digits.", usual.where(lambda words: _sum(words) >= 10)),
        Variation("nothing added", "One of the digits is 0.", usual.where(lambda words: "0" in _operands(words))),
        Variation("in a sentence", "Other words come before the sum.", _written(IN_SENTENCES)),
        Variation("mixed notation", "Figures with plus and is, words with + and =.", _written(MIXED_NOTATIONS)),
        Variation("other notation", "The sum has brackets, or its sign at the end.", _written(OTHER_NOTATIONS)),
    )


def _operands(words: Mapping[str, str]) -> tuple[str, str]:
    return words["first"], words["second"]


def _sum(words: Mapping[str, str]) -> int:
    return sum(map(int, _operands(words)))


def _written(notation: Notation) -> TemplatePrompts:
    return TemplatePrompts.of(Slots({**SLOTS.choices, "template": tuple(notation)}, partial(_write, notation=notation)))


def _write(words: Mapping[str, str], notation: Notation) -> TextPair | None:
    """The sums of the task in another notation; a zero-padded sum may also be answered without its zero."""
    usual = write({**words, "template": next(iter(SLOTS.choices["template"]))})
    if usual is None:
        return None
    template = words["template"]
    addends, sums = notation[template]
    first, second, third, fourth = (int(words[addend]) for addend in ADDENDS)
    return TextPair(
        clean=template.format(addends[first], addends[second]),
        corrupt=template.format(addends[third], addends[fourth]),
        answers=_said(first + second, sums),
        distractors=_said(third + fourth, sums),
        wording=Wording.of(words, template),
        scoring=Scoring(answers_as="first-difference"),
    )


def _said(number: int, written: tuple[str, ...]) -> tuple[str, ...]:
    both = (written[number], FIGURES[number]) if written is PADDED else (written[number],)
    return tuple(" " + text for text in dict.fromkeys(both))


def task() -> Task:
    """The task `addition`."""
    return Task(
        name="addition",
        about=About("Adds two digits, in digits and in words: 3 + 4 = -> 7, three plus four is -> seven."),
        model="everyday-4l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
