"""The edge cases of planted_sum: sums that start again at 0 or do not, one letter twice, and nothing added."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.builtin.planted_sum import CAPITALS, SIZE, SLOTS, draw
from tasks.prompts import TemplatePrompts
from tasks.task import Variation


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("below six", "The sum does not start again at 0.", usual.where(lambda words: _sum(words) < SIZE)),
        Variation("six or more", "The sum starts again at 0.", usual.where(lambda words: _sum(words) >= SIZE)),
        Variation("one letter twice", "A letter is added to itself.", usual.where(lambda w: w["first"] == w["second"])),
        Variation("nothing added", "One of the letters is A.", usual.where(lambda w: "A" in (w["first"], w["second"]))),
    )


def _sum(words: Mapping[str, str]) -> int:
    return CAPITALS.index(words["first"]) + CAPITALS.index(words["second"])
