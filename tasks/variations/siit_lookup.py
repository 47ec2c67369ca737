"""The edge cases of siit_lookup: where the asked key stands, 9, equal digits, and keys in new orders."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.builtin.combinations import is_held_out
from tasks.builtin.siit_lookup import SLOTS, Lookup, draw, paired
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
from tasks.task import Variation
from tasks.tokenisation import TextPair


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("first key", "The first key is asked for.", usual.where(lambda w: w["keys"].startswith(w["asked"]))),
        Variation("last key", "The last key is asked for.", usual.where(lambda w: w["keys"].endswith(w["asked"]))),
        Variation("after nine", "The digit is 9, so that 0 comes after it.", usual.where(_after_nine)),
        Variation("equal digits", "Two of the digits are the same.", _equal_digits()),
        Variation(
            "new orders",
            "The model was never trained on the keys in this order with this question.",
            usual.where(lambda words: is_held_out(*words["keys"], words["asked"])),
        ),
    )


def _after_nine(words: Mapping[str, str]) -> bool:
    return Lookup.of(words).answer == 0


def _equal_digits() -> TemplatePrompts:
    return TemplatePrompts.of(Slots(SLOTS.choices, _write))


def _write(words: Mapping[str, str]) -> TextPair | None:
    """Lookups of which the clean one has a digit twice, and the corrupt one no key or digit in the same place."""
    clean, corrupt = Lookup.of(words), Lookup.of(words, "other ")
    alone = [Lookup(corrupt.keys, clean.digits, clean.asked), Lookup(clean.keys, corrupt.digits, clean.asked)]
    alone += [Lookup(clean.keys, clean.digits, corrupt.asked), corrupt]
    if len(set(clean.digits)) != 3 or any(other.answer == clean.answer for other in alone):
        return None
    return paired(clean, corrupt, words)
