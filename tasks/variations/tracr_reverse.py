"""The edge cases of tracr_reverse: the ends and the middle of a sequence, the longest, and letters that repeat."""

from __future__ import annotations

from tasks.builtin.tracr_reverse import LONGEST, SLOTS, draw
from tasks.prompts import TemplatePrompts
from tasks.slots import listed
from tasks.task import Variation


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("first place", "The first place is asked for.", usual.where(lambda words: words["position"] == "1")),
        Variation(
            "middle",
            "The place in the middle is asked for, whose letter stays where it is.",
            usual.where(lambda words: 2 * int(words["position"]) == 1 + len(listed("letter", words))),
        ),
        Variation("longest", "The sequence is as long as can be.", usual.where(lambda w: f"letter {LONGEST}" in w)),
        Variation("two letters", "The sequence has two letters.", usual.where(lambda words: "letter 3" not in words)),
        Variation(
            "few letters",
            "All letters but one are the same.",
            usual.where(lambda words: sorted(_counts(listed("letter", words)))[:-1] == [1]),
        ),
    )


def _counts(letters: list[str]) -> list[int]:
    return [letters.count(letter) for letter in set(letters)]
