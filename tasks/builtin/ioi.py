"""Indirect object identification: `When Mary and John went to the store, John gave a drink to` -> ` Mary`.

The corrupt prompt has three other names, none of them repeated (the "ABC" prompts of the paper), so who received
cannot be told from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.builtin.vocabulary import LETTERS, words
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

NAMES = words(
    """
    Michael Christopher Jessica Matthew Ashley Jennifer Joshua Amanda Daniel David James Robert John Joseph
    Andrew Ryan Brandon Jason Justin Sarah William Jonathan Stephanie Brian Nicole Nicholas Anthony Heather
    Eric Elizabeth Adam Megan Melissa Kevin Steven Thomas Timothy Christina Kyle Rachel Laura Lauren Amber
    Danielle Richard Kimberly Jeffrey Amy Crystal Michelle Jeremy Benjamin Mark Emily Aaron Charles Rebecca
    Jacob Stephen Patrick Sean Kelly Samantha Nathan Paul Angela Tyler Scott Katherine Mary Lisa Kenneth
    Anna Alice
    """
)
PLACES = ("store", "garden", "restaurant", "school", "hospital", "office", "house", "station", "park", "market")
OBJECTS = ("ring", "book", "bone", "basketball", "computer", "necklace", "drink", "snack", "ball", "letter")
TEMPLATES = (
    "Then, {0} and {1} went to the {place}. {2} gave a {object} to",
    "Then, {0} and {1} had a lot of fun at the {place}. {2} gave a {object} to",
    "Then, {0} and {1} were working at the {place}. {2} decided to give a {object} to",
    "When {0} and {1} got a {object} at the {place}, {2} decided to give it to",
    "When {0} and {1} went to the {place}, {2} gave a {object} to",
    "While {0} and {1} were working at the {place}, {2} gave a {object} to",
    "After {0} and {1} went to the {place}, {2} gave a {object} to",
    "Friends {0} and {1} found a {object} at the {place}. {2} gave it to",
)
ORDERS = ("ABBA", "BABA")
STRANGERS = ("first stranger", "second stranger", "third stranger")


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A sentence in which one of two people gives something, in the order ABBA or BABA; the answer is the other.

    A combination is the indirect object and the subject, in alphabetical order.
    """
    while True:
        receiver, giver, *others = (NAMES[index] for index in rng.choice(len(NAMES), 5, replace=False))
        if among.admits(*sorted((receiver, giver))):
            break
    which = str(rng.integers(len(TEMPLATES)))
    order = ORDERS[rng.integers(len(ORDERS))]
    place, item = PLACES[rng.integers(len(PLACES))], OBJECTS[rng.integers(len(OBJECTS))]
    people = {"receiver": receiver, "giver": giver, **dict(zip(STRANGERS, others, strict=True))}
    pair = write({**people, "place": place, "object": item, "template": which, "order": order})
    assert pair is not None  # the names differ
    return pair


def write(words: Mapping[str, str], templates: Sequence[str] = TEMPLATES) -> TextPair | None:
    """The prompt pair with these words in its slots, if all names differ."""
    receiver, giver, others = words["receiver"], words["giver"], [words[stranger] for stranger in STRANGERS]
    if len({receiver, giver, *others}) < 5:
        return None
    which, order = words["template"], words["order"]
    names = (receiver, giver, giver) if order == "ABBA" else (giver, receiver, giver)
    things = {"place": words["place"], "object": words["object"]}
    return TextPair(
        clean=templates[int(which)].format(*names, **things),
        corrupt=templates[int(which)].format(*others, **things),
        answers=(" " + receiver,),
        distractors=(" " + giver,),
        wording=Wording.of(words, f"{order} {which}"),
    )


SLOTS = Slots(
    {
        **dict.fromkeys(("receiver", "giver", *STRANGERS), NAMES),
        "place": PLACES,
        "object": OBJECTS,
        "template": tuple(str(which) for which in range(len(TEMPLATES))),
        "order": ORDERS,
    },
    write,
)


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
    which = tuple(str(number) for number in range(len(templates)))
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
            wording=Wording.of(words, f"{words['odd one out']}, {words['template']}"),
        )

    which = tuple(str(number) for number in range(len(templates)))
    people = {**numbered("person", [NAMES] * 3), **numbered("stranger", [NAMES] * (3 + givers))}
    things = {"place": PLACES, "object": OBJECTS, "template": which, "odd one out": PLACES_OF_THREE}
    return TemplatePrompts.of(Slots({**people, **things}, write))


def task() -> Task:
    """The task `ioi`."""
    return Task(
        name="ioi",
        about=About(
            "Names who received: When Mary and John went to the store, John gave a drink to -> Mary.",
            "Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593",
        ),
        model="everyday-4l",
        metric="kl",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )


def _heads(text: str) -> tuple[str, ...]:
    return tuple("a{}.h{}".format(*head.split(".")) for head in text.split())
