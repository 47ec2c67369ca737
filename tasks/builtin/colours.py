"""Colours of things: `The color of the car is red and the color of the hat is blue, so the color of the car is` ->
` red`.

The corrupt prompt asks for the other thing and keeps every other word, so that both colours are there and which of them
is asked for is not. The distractor is the colour of the other thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from acdc.tasks.builtin.vocabulary import words
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

COLOURS = words("red blue green yellow black white brown orange purple pink gray gold")
THINGS = words(
    """
    apple car ball book hat cup box chair door coat bag boat house shirt flower bird dress lamp table bottle bed ring
    pen clock truck plane cat dog horse fish
    """
)
TEMPLATES = (
    "The colour of the {0} is {1} and the colour of the {2} is {3}. As we said, the colour of the {asked} is",
    "The color of the {0} is {1} and the color of the {2} is {3}. As we said, the color of the {asked} is",
    "The colour of the {0} is {1} and the colour of the {2} is {3}, so the colour of the {asked} is",
    "The color of the {0} is {1} and the color of the {2} is {3}, so the color of the {asked} is",
)
POSITIONS = ("first", "second", "third")


def draw(rng: np.random.Generator) -> TextPair:
    """Two things and their colours, one of which is asked for."""
    return SLOTS.draw(rng)


def write(words: Mapping[str, str], templates: Sequence[str] = TEMPLATES) -> TextPair | None:
    """The prompt pair with these things and colours, if all of each differ; `asked` and `other asked` are positions."""
    things, colours = listed("thing", words), listed("colour", words)
    numbers = [POSITIONS.index(words[slot]) for slot in ("asked", "other asked")]
    if len({*things, *colours}) < len(things) + len(colours) or numbers[0] == numbers[1]:
        return None
    parts = [part for pair in zip(things, colours, strict=True) for part in pair]
    sentence = partial(templates[int(words["template"])].format, *parts)
    clean, corrupt = numbers
    return TextPair(
        clean=sentence(asked=things[clean]),
        corrupt=sentence(asked=things[corrupt]),
        answers=(" " + colours[clean],),
        distractors=tuple(" " + colour for colour in colours if colour != colours[clean]),
        wording=Wording.of(words, f"{words['asked']}, {words['template']}"),
    )


def _choices(
    templates: Sequence[str], things: Sequence[str] = THINGS, colours: Sequence[str] = COLOURS, count: int = 2
) -> dict[str, tuple[str, ...]]:
    return {
        **numbered("thing", [tuple(things)] * count),
        **numbered("colour", [tuple(colours)] * count),
        **dict.fromkeys(("asked", "other asked"), POSITIONS[:count]),
        "template": tuple(str(number) for number in range(len(templates))),
    }


SLOTS = Slots(_choices(TEMPLATES), write)


COLOUR_FIRST = (
    "There is a {1} {0} and there is a {3} {2}, so the colour of the {asked} is",
    "I have a {1} {0} and a {3} {2}, so the colour of the {asked} is",
)
SHORT = ("The {0} is {1} and the {2} is {3}, so the {asked} is", "The {0} is {1} and the {2} is {3}. The {asked} is")
THREE = (
    "The colour of the {0} is {1}, the colour of the {2} is {3} and the colour of the {4} is {5}. As we said, the "
    "colour of the {asked} is",
)
LONG = (
    "The colour of the {0} is {1} and the colour of the {2} is {3}, as all of us have seen at the market in the "
    "morning. As we said, the colour of the {asked} is",
    "The colour of the {0} in the garden is {1} and the colour of the {2} in the house is {3}. As we said before we "
    "went home, the colour of the {asked} is",
)
AFTER_AN_EXAMPLE = (
    "The colour of the key is silver and the colour of the tree is green. As we said, the colour of the key is silver. "
    "The colour of the {0} is {1} and the colour of the {2} is {3}. As we said, the colour of the {asked} is",
)
MATERIALS = words("gold silver stone wood iron glass paper plastic steel wool")
MADE = (
    "The {0} is made of {1} and the {2} is made of {3}. As we said, the {asked} is made of",
    "The {0} is made of {1} and the {2} is made of {3}, so the {asked} is made of",
)
OWNERS = words("Mary John Alice Robert Anna Michael Sarah David Emily William Laura Richard")
OWNED = (
    "The colour of {0}'s hat is {1} and the colour of {2}'s hat is {3}. As we said, the colour of {asked}'s hat is",
    "The favourite colour of {0} is {1} and the favourite colour of {2} is {3}. As we said, the favourite colour of "
    "{asked} is",
)
RARE = words("silver violet crimson scarlet beige cyan magenta turquoise maroon ivory amber copper")


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts.of(SLOTS)
    return (
        *(
            Variation(
                f"{position} asked", f"The colour of the {position} thing is asked for.", _asking(usual, position)
            )
            for position in POSITIONS[:2]
        ),
        Variation("colour first", "Each colour stands before its thing.", _worded(COLOUR_FIRST)),
        Variation("short", "The word colour is left out.", _worded(SHORT)),
        Variation("three things", "Three things have a colour each.", _worded(THREE, count=3)),
        Variation("long gap", "More words stand between the colours and the question.", _worded(LONG)),
        Variation("after an example", "Two other things come first.", _worded(AFTER_AN_EXAMPLE)),
        Variation("owners", "The colours are those of people's things.", _worded(OWNED, things=OWNERS)),
        Variation("materials", "What things are made of is asked for.", _worded(MADE, colours=MATERIALS)),
        Variation("rare colours", "The colours are rarer ones.", _worded(TEMPLATES, colours=RARE)),
    )


def _asking(usual: TemplatePrompts, position: str) -> TemplatePrompts:
    return usual.where(lambda words: words["asked"] == position)


def _worded(
    templates: Sequence[str], things: Sequence[str] = THINGS, colours: Sequence[str] = COLOURS, count: int = 2
) -> TemplatePrompts:
    return TemplatePrompts.of(Slots(_choices(templates, things, colours, count), partial(write, templates=templates)))


def task() -> Task:
    """The task `colours`."""
    return Task(
        name="colours",
        about=About(
            "Names the colour of one of two things: The color of the car is red and the color of the hat is blue, so "
            "the color of the car is -> red.",
            "Feng & Steinhardt 2023, How do Language Models Bind Entities in Context?, arXiv:2310.17191",
        ),
        model="smollm2-135m",
        metric="logit_difference",
        prompts=TemplatePrompts.of(SLOTS),
        variations=variations(),
    )
