"""Gendered pronouns: `When Mary came home,` -> ` she`, not ` he`.

The corrupt prompt has a name of the other gender and keeps every other word: whether a woman or a man is spoken of is
all that changes. The distractor is the other pronoun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from acdc.tasks.builtin.vocabulary import words
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Rows, Slots
from acdc.tasks.task import About, Task, Variation

FEMALE = words(
    """
    Mary Alice Anna Sarah Emily Jessica Amanda Rachel Laura Lisa Nicole Rebecca Elizabeth Helen Susan Karen Nancy Linda
    Barbara Patricia Julia Emma Sophia Jennifer Michelle
    """
)
MALE = words(
    """
    John James Robert Michael David William Richard Joseph Thomas Daniel Matthew Anthony Mark Paul Steven Andrew Kevin
    Brian George Edward Peter Henry Jack Frank Adam
    """
)
GENDERS = ("female", "male")
PRONOUNS = {"female": "she", "male": "he"}


def people(female: Sequence[str], male: Sequence[str]) -> Rows:
    """Names, or what else a person is called, each with its gender."""
    named = ((name, gender) for gender, names in zip(GENDERS, (female, male), strict=True) for name in names)
    return Rows("person", ("person", "gender"), tuple(named))


NAMES = people(FEMALE, MALE)
TEMPLATES = (
    "When {person} came home,",
    "I asked {person} whether",
    "When {person} woke up,",
    "We waited for {person} until",
    "So {person} is a really great friend, isn't",
)


def draw(rng: np.random.Generator) -> TextPair:
    """A sentence about somebody, up to where a pronoun takes up the name, and the same of another gender."""
    return SLOTS.draw(rng)


def write(
    words: Mapping[str, str],
    rows: Rows = NAMES,
    templates: Sequence[str] = TEMPLATES,
    pronouns: Mapping[str, str] = PRONOUNS,
) -> TextPair | None:
    """The prompt pair with these people, if they are of different gender."""
    one, other = rows.words(words["person"]), rows.words(words["other person"])
    if one["gender"] == other["gender"]:
        return None
    template = templates[int(words["template"])]
    return TextPair(
        clean=template.format(person=one["person"]),
        corrupt=template.format(person=other["person"]),
        answers=(" " + pronouns[one["gender"]],),
        distractors=(" " + pronouns[other["gender"]],),
        wording=Wording.of(words, words["template"]),
    )


SLOTS = Slots(NAMES.two(TEMPLATES), write)


POSSESSIVE = (
    "{person} took off",
    "{person} went home and called",
    "I saw {person} and",
)
REFLEXIVE = ("{person} looked at", "{person} hurt", "{person} was proud of", "{person} blamed")
TAGS = ("So {person} is coming home today, isn't", "So {person} was a good singer, wasn't")
LONG = (
    "When {person} came home after a long day of work in the garden,",
    "I met {person} at the market near the river, and we talked for an hour, until",
    "We waited for {person} in the old house on the hill for many hours, until",
)
JOBS = ("nurse", "doctor", "teacher", "lawyer", "singer", "driver", "pilot", "farmer", "writer", "manager")
AT_WORK = (
    "When {person} became a {job},",
    "I asked {person}, who is a {job}, whether",
    "We waited for {person}, who is a {job}, until",
)
BESIDES = (
    "When {person} came home with a letter for {bystander},",
    "I asked {person}, a friend of {bystander}, whether",
    "We waited for {person} with {bystander} until",
)
RELATIVES = people(
    words("mother sister daughter aunt wife grandmother girlfriend"),
    words("father brother son uncle husband grandfather boyfriend"),
)
TITLED = people(words("Mrs Ms Queen Princess Lady"), words("Mr King Prince Lord Sir"))
RARE = people(
    words("Agnes Beatrice Clara Edith Flora Greta Ingrid Irene Judith Lydia Martha Nina Olga Rosa Ruth Vera"),
    words("Albert Arthur Boris Carlos Diego Edgar Felix Hugo Ivan Leon Omar Oscar Otto Pedro Victor Walter"),
)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    possessive, reflexive = {"female": "her", "male": "his"}, {"female": "herself", "male": "himself"}
    return (
        Variation("possessive", "His or her is asked for.", _people(templates=POSSESSIVE, pronouns=possessive)),
        Variation("reflexive", "Himself or herself is asked for.", _people(templates=REFLEXIVE, pronouns=reflexive)),
        Variation("tag question", "The pronoun stands in a tag question.", _people(templates=TAGS)),
        Variation("long gap", "More words stand between the name and the pronoun.", _people(templates=LONG)),
        Variation("bystander", "A person of the other gender is named in between.", _beside()),
        Variation("jobs", "It is said what the person works as.", _working()),
        Variation("relatives", "The person is called by kinship and not by name.", _called(RELATIVES, "my {person}")),
        Variation("titles", "The person has a title and a last name.", _called(TITLED, "{person} Smith")),
        Variation("rare names", "The names are rarer ones.", _people(RARE)),
    )


def _people(
    rows: Rows = NAMES, templates: Sequence[str] = TEMPLATES, pronouns: Mapping[str, str] = PRONOUNS
) -> TemplatePrompts:
    writing = partial(write, rows=rows, templates=templates, pronouns=pronouns)
    return TemplatePrompts.of(Slots(rows.two(templates), writing))


def _called(rows: Rows, how: str) -> TemplatePrompts:
    return _people(rows, tuple(template.replace("{person}", how) for template in TEMPLATES))


def _working() -> TemplatePrompts:
    """Sentences that say what a person works as, which tells nothing of the gender."""

    def write_job(words: Mapping[str, str]) -> TextPair | None:
        return write(words, templates=tuple(template.replace("{job}", words["job"]) for template in AT_WORK))

    return TemplatePrompts.of(Slots({**NAMES.two(AT_WORK), "job": JOBS}, write_job))


def _beside() -> TemplatePrompts:
    """Sentences in which a person of the clean prompt's other gender is named too, the same in the corrupt prompt."""

    def write_beside(words: Mapping[str, str]) -> TextPair | None:
        person, bystander = NAMES.words(words["person"]), NAMES.words(words["bystander"])
        if bystander["gender"] == person["gender"] or words["bystander"] == words["other person"]:
            return None
        templates = tuple(template.replace("{bystander}", bystander["person"]) for template in BESIDES)
        return write(words, templates=templates)

    return TemplatePrompts.of(Slots({**NAMES.two(BESIDES), "bystander": NAMES.choices}, write_beside))


def task() -> Task:
    """The task `gender`."""
    return Task(
        name="gender",
        about=About(
            "Takes up a name by the pronoun of its gender: When Mary came home, -> she.",
            "Mathwin et al. 2023, Identifying a Preliminary Circuit for Predicting Gendered Pronouns in GPT-2 Small",
        ),
        model="smollm2-135m",
        metric="logit_difference",
        prompts=TemplatePrompts.of(SLOTS),
        variations=variations(),
    )
