"""The edge cases of planted_copy: another corruption, dull surroundings, and a letter that stands elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.builtin.planted_copy import FILLERS, LETTERS, SLOTS, draw
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("other letter", "The corrupt prompt has another letter in its place.", _letters(2, another=True)),
        Variation(
            "a word twice",
            "The words right before and after the letter are one and the same.",
            usual.where(lambda words: words["word 1"] == words["word 2"]),
        ),
        Variation("a place later", "The letter stands one place further on.", _letters(3)),
    )


def _letters(place: int, another: bool = False) -> TemplatePrompts:
    """A letter at this place among words; in the corrupt prompt there is none, or another one."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        letter, other = words["letter"], words["other letter"]
        if letter == other:
            return None
        sides = []
        for fillers, here in ((listed("word", words), letter), (listed("other word", words), other if another else "")):
            before, after = fillers[: place - 1], fillers[place - 1 :]
            sides.append(" ".join(["So", *before, *([here] if here else []), *after]))
        return TextPair(
            clean=sides[0],
            corrupt=sides[1],
            answers=(" " + letter.lower(),),
            distractors=(" " + other.lower(),),
            template=f"the letter is {letter}",
            filling=tuple(words.items()),
        )

    return TemplatePrompts.of(
        Slots(
            {
                **dict.fromkeys(("letter", "other letter"), LETTERS),
                **numbered("word", [FILLERS] * 4),
                **numbered("other word", [FILLERS] * (4 if another else 5)),
            },
            write,
        )
    )
