"""The edge cases of addition: other notations and sentences around the sum, and sums that are seldom asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tasks.builtin.addition import ADDENDS, FIGURES, NUMBERS, SLOTS, draw, held_out, write
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
from tasks.task import Variation
from tasks.tokenisation import TextPair

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
        template=template,
        filling=tuple(words.items()),
    )


def _said(number: int, written: tuple[str, ...]) -> tuple[str, ...]:
    both = (written[number], FIGURES[number]) if written is PADDED else (written[number],)
    return tuple(" " + text for text in dict.fromkeys(both))
