"""The edge cases of tracr_proportion: very few and very many x, the longest sequences, and the first place."""

from __future__ import annotations

from tasks.builtin.tracr_proportion import LONGEST, SLOTS, draw
from tasks.prompts import TemplatePrompts
from tasks.slots import listed
from tasks.task import Variation


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("one x", "The sequence has a single x.", usual.where(lambda w: listed("letter", w).count("x") == 1)),
        Variation(
            "nearly all x",
            "At most one letter is no x.",
            usual.where(lambda words: listed("letter", words).count("x") >= len(listed("letter", words)) - 1),
        ),
        Variation("longest", "The sequence is as long as can be.", usual.where(lambda w: f"letter {LONGEST}" in w)),
        Variation(
            "first place", "The first place is asked for, and has an x.", usual.where(lambda w: w["position"] == "1")
        ),
    )
