"""Capitals: `The government of France is in its capital,` -> ` Paris`.

The corrupt prompt names another country and keeps every other word: which capital is asked for is all that it loses.
The distractor is the other country's capital.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Rows, Slots
from acdc.tasks.task import About, Task, Variation

COLUMNS = ("country", "capital")
PAIRS = (
    ("France", "Paris"),
    ("Germany", "Berlin"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Portugal", "Lisbon"),
    ("Greece", "Athens"),
    ("Egypt", "Cairo"),
    ("Japan", "Tokyo"),
    ("China", "Beijing"),
    ("Russia", "Moscow"),
    ("Poland", "Warsaw"),
    ("Austria", "Vienna"),
    ("Hungary", "Budapest"),
    ("Cuba", "Havana"),
    ("Chile", "Santiago"),
    ("Peru", "Lima"),
    ("Ireland", "Dublin"),
    ("Scotland", "Edinburgh"),
    ("Norway", "Oslo"),
    ("Sweden", "Stockholm"),
    ("Finland", "Helsinki"),
    ("Denmark", "Copenhagen"),
    ("Belgium", "Brussels"),
    ("Iran", "Tehran"),
    ("Iraq", "Baghdad"),
    ("Syria", "Damascus"),
    ("Lebanon", "Beirut"),
    ("Jordan", "Amman"),
    ("Kenya", "Nairobi"),
    ("Ghana", "Accra"),
    ("Tunisia", "Tunis"),
    ("Libya", "Tripoli"),
    ("Thailand", "Bangkok"),
    ("Indonesia", "Jakarta"),
    ("Bangladesh", "Dhaka"),
    ("Afghanistan", "Kabul"),
    ("Romania", "Bucharest"),
    ("Bulgaria", "Sofia"),
    ("Serbia", "Belgrade"),
    ("Croatia", "Zagreb"),
)
ROWS = Rows("country", COLUMNS, PAIRS)
TEMPLATES = (
    "The government of {country} is in its capital,",
    "The president of {country} lives in the capital,",
    "They live in {country}, in its capital,",
    "The embassy is in the capital of {country},",
    "The capital of {country} is the city of",
)


def draw(rng: np.random.Generator) -> TextPair:
    """A sentence about the capital of a country, and the same about another country."""
    return SLOTS.draw(rng)


def write(
    words: Mapping[str, str], rows: Rows = ROWS, templates: Sequence[str] = TEMPLATES, backwards: bool = False
) -> TextPair | None:
    """The prompt pair with these countries, if they differ; `backwards`, the capital is given and its country asked."""
    if words["country"] == words["other country"]:
        return None
    one, other = rows.words(words["country"]), rows.words(words["other country"])
    template, asked = templates[int(words["template"])], COLUMNS[0] if backwards else COLUMNS[1]
    return TextPair(
        clean=template.format(**one),
        corrupt=template.format(**other),
        answers=(" " + one[asked],),
        distractors=(" " + other[asked],),
        wording=Wording.of(words, words["template"]),
    )


SLOTS = Slots(ROWS.two(TEMPLATES), write)


AFTER_AN_EXAMPLE = (
    "The capital of Australia is Canberra. The capital of {country} is",
    "Canberra is the capital of Australia, and the capital of {country} is",
    "Australia: Canberra. {country}:",
)
AFTER_ANOTHER = (
    "I have been to Canberra. The capital of {country} is the city of",
    "Canberra is nice, but the government of {country} is in its capital,",
    "Unlike people in Canberra, people from {country} live in the capital,",
)
QUESTIONS = (
    "Question: What is the capital of {country}? Answer:",
    "Q: What is the capital of {country}? A: The capital is",
    "What is the capital of {country}? It is the city of",
)
LONG = (
    "In a lesson about the countries of the world, we were told that the capital of {country} is the city of",
    "The government of {country}, which has many ministers, most of them old, is in its capital,",
    "They live in {country}, where the weather is good and the people are nice, in its capital,",
)
COUNTRIES_ASKED = (
    "{capital} is the capital of",
    "{capital} is the capital city of",
    "The city of {capital} is the capital of",
)
NOT_THE_LARGEST = Rows(
    "country",
    COLUMNS,
    (
        ("Canada", "Ottawa"),
        ("Turkey", "Ankara"),
        ("Vietnam", "Hanoi"),
        ("Switzerland", "Bern"),
        ("Morocco", "Rabat"),
        ("Ecuador", "Quito"),
        ("India", "Delhi"),
        ("Scotland", "Edinburgh"),
        ("Israel", "Jerusalem"),
        ("China", "Beijing"),
    ),
)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    return (
        Variation("questions", "The capital is asked for in a question.", _worded(QUESTIONS)),
        Variation("after an example", "Another country and its capital come first.", _worded(AFTER_AN_EXAMPLE)),
        Variation("another capital", "Another country's capital is named before.", _worded(AFTER_ANOTHER)),
        Variation("long", "More words stand in the sentence.", _worded(LONG)),
        Variation("not the largest city", "Larger or better known cities are no capitals.", _of(NOT_THE_LARGEST)),
        Variation("country asked", "The capital is given and the country asked for.", _asking_countries()),
    )


def _worded(templates: Sequence[str]) -> TemplatePrompts:
    return TemplatePrompts.of(Slots(ROWS.two(templates), partial(write, templates=templates)))


def _of(rows: Rows) -> TemplatePrompts:
    return TemplatePrompts.of(Slots(rows.two(TEMPLATES), partial(write, rows=rows)))


def _asking_countries() -> TemplatePrompts:
    writing = partial(write, templates=COUNTRIES_ASKED, backwards=True)
    return TemplatePrompts.of(Slots(ROWS.two(COUNTRIES_ASKED), writing))


def task() -> Task:
    """The task `capitals`."""
    return Task(
        name="capitals",
        about=About(
            "Names a country's capital: The government of France is in its capital, -> Paris.",
            "Merullo et al. 2023, Language Models Implement Simple Word2Vec-style Vector Arithmetic, arXiv:2305.16130",
        ),
        model="smollm2-135m",
        metric="logit_difference",
        prompts=TemplatePrompts.of(SLOTS),
        variations=variations(),
    )
