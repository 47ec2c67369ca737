"""The edge cases of siit_pick: nothing or 4 added, equal digits, and combinations that are new."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.builtin.combinations import is_held_out
from tasks.builtin.siit_pick import DIGITS, PLACES, SLOTS, Pick, draw, paired
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed
from tasks.task import Variation
from tasks.tokenisation import TextPair


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("nothing added", "0 is added.", usual.where(lambda words: words["added"] == "0")),
        Variation("four added", "4 is added.", usual.where(lambda words: words["added"] == DIGITS[-1])),
        Variation("last place", "The fourth digit is picked.", usual.where(lambda w: w["place"] == list(PLACES)[-1])),
        Variation("equal digits", "Two of the digits to pick from are the same.", _equal_digits()),
        Variation(
            "new combinations",
            "The model was never trained on these digits with this place.",
            usual.where(lambda words: is_held_out(words["place"], *listed("digit", words))),
        ),
    )


def _equal_digits() -> TemplatePrompts:
    return TemplatePrompts.of(Slots(SLOTS.choices, _write))


def _write(words: Mapping[str, str]) -> TextPair | None:
    """Picks of which the clean one has a digit twice, and the corrupt one picks and adds other digits."""
    clean, corrupt = Pick.of(words), Pick.of(words, "other ")
    alone = [Pick(corrupt.place, clean.digits, clean.added), Pick(clean.place, corrupt.digits, clean.added)]
    alone += [Pick(clean.place, clean.digits, corrupt.added), Pick(corrupt.place, corrupt.digits, clean.added), corrupt]
    if len(set(clean.digits)) != 3 or any(other.answer == clean.answer for other in alone):
        return None
    return paired(clean, corrupt, words)
