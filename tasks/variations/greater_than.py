"""The edge cases of greater_than: years near the borders of the century, other centuries, nouns and wordings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tasks.builtin.greater_than import CENTURIES, NOUNS, SLOTS, draw
from tasks.builtin.vocabulary import WORDS
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
from tasks.task import Variation
from tasks.tokenisation import TextPair

USUAL = "The {noun} lasted from the year {century}{year} to the year {century}"
SHORT = "The {noun} lasted from {century}{year} to {century}"
LED_IN = "Yesterday the {noun} lasted from the year {century}{year} to the year {century}"
OPEN = "The {noun} lasted from the year {century}{year} to the year"
BORDERS = tuple(f"{year:02}" for year in (*range(2, 7), *range(94, 99)))
YEARS = SLOTS.choices["year"]


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation(
            "century borders",
            "The span starts in one of the first or last years of the century.",
            usual.where(lambda words: words["year"] in BORDERS),
        ),
        Variation("late years", "Fewer than twenty years are later.", usual.where(lambda w: int(w["year"]) >= 80)),
        Variation("year 00", "The span starts in 00; the corrupt one in 99.", _spans(years=("00",), corrupt="99")),
        Variation("year 99", "The span starts in 99, so that it ends in a later century.", _over_the_border()),
        Variation(
            "other centuries", "The century is the 10th, 18th, 19th or 20th hundred.", _spans(("10", "18", "19", "20"))
        ),
        Variation("other nouns", "What lasted is an everyday thing.", _spans(nouns=WORDS)),
        Variation("no year", "The words 'the year' are left out.", _spans(wording=SHORT)),
        Variation("a word before", "The sentence begins with another word.", _spans(wording=LED_IN)),
    )


def _spans(
    centuries: tuple[str, ...] = SLOTS.choices["century"],
    *,
    years: tuple[str, ...] = YEARS,
    nouns: tuple[str, ...] = NOUNS,
    wording: str = USUAL,
    corrupt: str = "01",
) -> TemplatePrompts:
    choices = {"noun": nouns, "century": centuries, "year": years}
    return TemplatePrompts.of(Slots(choices, partial(_write, wording=wording, corrupt=corrupt)))


def _write(words: Mapping[str, str], wording: str, corrupt: str) -> TextPair:
    year = int(words["year"])
    earlier = tuple(f"{before:02}" for before in range(1, year + 1)) or ("00",)
    return TextPair(
        clean=wording.format(**words),
        corrupt=wording.format(**{**words, "year": corrupt}),
        answers=tuple(f"{later:02}" for later in range(year + 1, 100)),
        distractors=earlier,
        template=words["noun"],
        filling=tuple(words.items()),
    )


def _over_the_border() -> TemplatePrompts:
    return TemplatePrompts.of(Slots({"noun": NOUNS, "century": SLOTS.choices["century"]}, _write_over_the_border))


def _write_over_the_border(words: Mapping[str, str]) -> TextPair:
    """A span from the last year of a century, to be ended in one of the next three."""
    century = int(words["century"])
    return TextPair(
        clean=OPEN.format(**words, year="99"),
        corrupt=OPEN.format(**words, year="01"),
        answers=tuple(f" {later}" for later in range(century + 1, century + 4)),
        distractors=tuple(f" {earlier}" for earlier in range(CENTURIES[0] - 1, century + 1)),
        template=words["noun"],
        filling=tuple(words.items()),
    )
