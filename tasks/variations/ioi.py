"""The edge cases of ioi: the same question with names, orders and sentences that it is usually not asked with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tasks.builtin.combinations import is_held_out
from tasks.builtin.ioi import NAMES, OBJECTS, ORDERS, PLACES, SLOTS, STRANGERS, draw, write
from tasks.builtin.vocabulary import LETTERS, words
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair

RARE = words(
    """
    Boris Igor Ivan Omar Ahmed Ibrahim Abraham Isaac Hugo Otto Carlos Diego Juan Pedro Pablo Miguel Fernando Raj
    Ali Hassan Mohammed Abdul Vladimir Dmitry Sergei Yuri Mikhail Nikolai Klaus Hans Franz Pierre Jean Luc Marco
    Giovanni Antonio Akira Kim Chen Wang Winston Percy Edgar Oscar Victor Felix Leon Simon Silas Ezra
    """
)
OTHER_TEMPLATES = (
    "When {0} and {1} found a {object} at the {place}, {2} gave it to",
    "While {0} and {1} had a lot of fun at the {place}, {2} gave a {object} to",
    "After {0} and {1} got a {object} at the {place}, {2} decided to give it to",
    "Then, {0} and {1} found a {object} at the {place}. {2} decided to give it to",
    "Yesterday {0} and {1} were working at the {place}. {2} gave a {object} to",
    "At the {place}, {0} and {1} found a {object}. {2} gave it to",
)
REPEATING = (
    "When {0} and {1} got a {object} at the {place}, {2} decided to give the {object} to",
    "Friends {0} and {1} found a {object} at the {place}. {2} gave the {object} to",
)
LONG = (
    "Then, {0} and {1} had a lot of fun at the river {place}. {2} gave a {object} to",
    "After {0} and {1} went to the {place} and had a lot of fun, {2} gave a {object} to",
    "Friends {0} and {1} found a {object} at the {place} by the river. {2} gave it to",
    "Friends {0} and {1} found a {object} and a lot of fun at the {place}. {2} gave it to",
)
ONE_GIVES = (
    "Then, {0}, {1} and {2} went to the {place}. {3} gave a {object} to",
    "Then, {0} and {1} and {2} went to the {place}. {3} gave a {object} to",
    "While {0}, {1} and {2} were working at the {place}, {3} gave a {object} to",
)
TWO_GIVE = (
    "Then, {0}, {1} and {2} went to the {place}. {3} and {4} gave a {object} to",
    "When {0}, {1} and {2} got a {object} at the {place}, {3} and {4} decided to give it to",
    "While {0}, {1} and {2} were working at the {place}, {3} and {4} gave a {object} to",
)
PLACES_OF_THREE = ("first", "second", "third")


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)

    def pairs_of(which: bool) -> TemplatePrompts:
        return usual.where(lambda w: is_held_out(*sorted((w["receiver"], w["giver"]))) == which)

    return (
        *(
            Variation(f"order {order}", f"The giver is named {place} in the first half.", _in_order(usual, order))
            for order, place in zip(ORDERS, ("second", "first"), strict=True)
        ),
        Variation("other templates", "The sentence has other wordings, of the same words.", _worded(OTHER_TEMPLATES)),
        Variation(
            "distractor name", "A third person is named; either who does not give is right.", _three(ONE_GIVES, 1)
        ),
        Variation("two givers", "A third person is named, and two of the three give.", _three(TWO_GIVE, 2)),
        Variation("repeated object", "The object is named twice, as the giver is.", _worded(REPEATING)),
        Variation("long gap", "More words stand between the first names and the giver's.", _worded(LONG)),
        Variation("rare names", "The names are rarer ones.", _named(RARE)),
        Variation("initials", "The names are single letters.", _named(LETTERS)),
        Variation("new pairs", "The two names never stood together in the shipped model's training.", pairs_of(True)),
    )


def _in_order(usual: TemplatePrompts, order: str) -> TemplatePrompts:
    return usual.where(lambda words: words["order"] == order)


def _worded(templates: tuple[str, ...]) -> TemplatePrompts:
    which = tuple(str(place) for place in range(len(templates)))
    return TemplatePrompts.of(Slots({**SLOTS.choices, "template": which}, partial(write, templates=templates)))


def _named(names: tuple[str, ...]) -> TemplatePrompts:
    return TemplatePrompts.of(
        Slots({**SLOTS.choices, **dict.fromkeys(("receiver", "giver", *STRANGERS), names)}, write)
    )


def _three(templates: tuple[str, ...], givers: int) -> TemplatePrompts:
    """Three people, one or two of whom give; the corrupt prompt names others throughout."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        people, strangers = listed("person", words), listed("stranger", words)
        if len({*people, *strangers}) < len(people) + len(strangers):
            return None
        odd = PLACES_OF_THREE.index(words["odd one out"])  # the one who gives, or the one who does not
        one, others = people[odd], [*people[:odd], *people[odd + 1 :]]
        giving, rest = ([one], others) if givers == 1 else (others, [one])
        sentence = partial(templates[int(words["template"])].format, place=words["place"], object=words["object"])
        return TextPair(
            clean=sentence(*people, *giving),
            corrupt=sentence(*strangers),
            answers=tuple(" " + name for name in rest),
            distractors=tuple(" " + name for name in giving),
            template=f"{words['odd one out']}, {words['template']}",
            filling=tuple(words.items()),
        )

    which = tuple(str(place) for place in range(len(templates)))
    people = {**numbered("person", [NAMES] * 3), **numbered("stranger", [NAMES] * (3 + givers))}
    things = {"place": PLACES, "object": OBJECTS, "template": which, "odd one out": PLACES_OF_THREE}
    return TemplatePrompts.of(Slots({**people, **things}, write))
