"""Greater-than: `The war lasted from the year 1732 to the year 17` -> two digits greater than 32.

The corrupt prompt starts in the year `01`, from which nearly every year is later: it keeps the sentence and the century
and loses the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.builtin.vocabulary import WORDS, words
from acdc.tasks.pairs import Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.task import About, Task, Variation

NOUNS = words(
    """
    abduction accord affair agreement attack battle campaign challenge chaos clash competition conflict
    conquest contract crisis cycle deal debate defense demonstration dispute domination dynasty effort
    empire engagement expedition exploration fight growth incident journey marriage mission occupation
    operation peace plan practice process program progress project pursuit quest raid reform reign
    relationship revolt romance rule siege strike struggle survey test trial voyage war work
    """
)
CENTURIES = tuple(range(11, 18))
FIRST_YEAR, LAST_YEAR = 2, 98  # as in the paper: there are always years on both sides of the bound


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A time span whose end is to be completed; every later year of the century is an answer.

    A combination is the century and the year in it that the span starts with.
    """
    while True:
        century, year = int(rng.choice(CENTURIES)), int(rng.integers(FIRST_YEAR, LAST_YEAR + 1))
        if among.admits(str(century), f"{year:02}"):
            break
    noun = NOUNS[rng.integers(len(NOUNS))]
    return write({"noun": noun, "century": str(century), "year": f"{year:02}"})


def write(words: Mapping[str, str]) -> TextPair:
    """The prompt pair with this noun, century, and year in it."""
    noun, century, year = words["noun"], words["century"], int(words["year"])
    span = f"The {noun} lasted from the year {century}{{:02}} to the year {century}"
    return TextPair(
        clean=span.format(year),
        corrupt=span.format(1),
        answers=tuple(f"{later:02}" for later in range(year + 1, 100)),
        # The year 00 is left out: a number such as 1700 is one token in many tokenizers.
        distractors=tuple(f"{earlier:02}" for earlier in range(1, year + 1)),
        wording=Wording.of(words, noun),
        scoring=Scoring(answers_as="first-difference"),
    )


SLOTS = Slots(
    {
        "noun": NOUNS,
        "century": tuple(str(century) for century in CENTURIES),
        "year": tuple(f"{year:02}" for year in range(FIRST_YEAR, LAST_YEAR + 1)),
    },
    write,
)


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
        wording=Wording.of(words, words["noun"]),
        scoring=Scoring(answers_as="first-difference"),
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
        wording=Wording.of(words, words["noun"]),
        scoring=Scoring(answers_as="first-difference"),
    )


def task() -> Task:
    """The task `greater_than`."""
    source = "Hanna et al. 2023, How does GPT-2 compute greater-than?, arXiv:2305.00586"
    return Task(
        name="greater_than",
        about=About(
            "Ends a time span after its start: The war lasted from the year 1732 to the year 17 -> 33 or later.",
            source,
        ),
        model="everyday-4l",
        metric="probability_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
