"""The edge cases of planted_detour: the letters that it never draws, as answers and as distractors, and dull words."""

from __future__ import annotations

from tasks.builtin import planted_copy, planted_detour
from tasks.builtin.planted_detour import RARE
from tasks.prompts import TemplatePrompts
from tasks.task import Variation


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(planted_detour.draw, planted_copy.SLOTS)
    every = TemplatePrompts(planted_copy.draw, planted_copy.SLOTS)
    return (
        Variation("rare letter", "The letter is a rare one.", every.where(lambda words: words["letter"] in RARE)),
        Variation(
            "rare distractor",
            "The distractor, not the letter, is a rare one.",
            every.where(lambda words: words["letter"] not in RARE and words["other letter"] in RARE),
        ),
        Variation(
            "a word twice",
            "The words right before and after the letter are one and the same.",
            usual.where(lambda words: words["word 1"] == words["word 2"]),
        ),
    )
