"""The edge case of planted_detour: the letters that it never draws."""

from __future__ import annotations

from tasks.builtin import planted_copy
from tasks.builtin.planted_detour import RARE
from tasks.prompts import TemplatePrompts
from tasks.task import Variation


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    every = TemplatePrompts(planted_copy.draw, planted_copy.SLOTS)
    return (Variation("rare letter", "The letter is a rare one.", every.where(lambda words: words["letter"] in RARE)),)
