"""Indirect object identification: `When Mary and John went to the store, John gave a drink to` -> ` Mary`.

The corrupt prompt has three other names, none of them repeated (the "ABC" prompts of the paper), so who received
cannot be told from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import words
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
from tasks.task import About, ReferenceCircuit, Task
from tasks.tokenisation import TextPair

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
        receiver, giver, *others = (NAMES[place] for place in rng.choice(len(NAMES), 5, replace=False))
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
        template=f"{order} {which}",
        filling=tuple(words.items()),
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


def task() -> Task:
    """The task `ioi`."""
    from tasks.variations.ioi import variations  # which draws with what is above

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
        references=(
            ReferenceCircuit(
                model="gpt2",
                version="wang-2022",
                source="Wang et al. 2022, Figure 2, arXiv:2211.00593",
                heads=_heads(
                    "9.9 10.0 9.6 "  # name movers
                    "10.10 10.6 10.2 10.1 11.2 9.7 9.0 11.9 "  # backup name movers
                    "10.7 11.10 "  # negative name movers
                    "7.3 7.9 8.6 8.10 "  # S-inhibition
                    "5.5 5.8 5.9 6.9 "  # induction
                    "0.1 0.10 3.0 "  # duplicate token
                    "2.2 4.11"  # previous token
                ),
            ),
        ),
    )


def _heads(text: str) -> tuple[str, ...]:
    return tuple("a{}.h{}".format(*head.split(".")) for head in text.split())
