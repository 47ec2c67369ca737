"""Antonyms: `black and white, big and small, hot and` -> ` cold`.

The corrupt prompt has another word in the place of the one whose opposite is asked for and keeps every other word. The
distractor is that other word's opposite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Rows, Slots
from acdc.tasks.task import About, Task, Variation

COLUMNS = ("word", "opposite")


def opposites(text: str) -> Rows:
    """Words and their opposites, from pairs such as `hot:cold`."""
    return Rows("word", COLUMNS, tuple(tuple(pair.split(":")) for pair in text.split()))


ADJECTIVES = opposites(
    """
    hot:cold fast:slow high:low young:old rich:poor hard:soft wet:dry strong:weak open:closed full:empty long:short
    early:late thick:thin deep:shallow wide:narrow true:false left:right inside:outside above:below before:after
    more:less first:last near:far dead:alive loud:quiet clean:dirty sweet:bitter public:private male:female
    active:passive positive:negative internal:external maximum:minimum northern:southern eastern:western upper:lower
    """
)
TEMPLATES = (
    "black and white, big and small, {word} and",
    "Opposites: up and down, {word} and",
    "Words and their opposites: up, down; {word},",
    "It is not a matter of up or down, of {word} or",
    "They are opposites, like up and down, or like {word} and",
    "The opposite of black is white, the opposite of up is down, and the opposite of {word} is",
)


def draw(rng: np.random.Generator) -> TextPair:
    """A word whose opposite is asked for, and the same of another word."""
    return SLOTS.draw(rng)


def write(
    words: Mapping[str, str], rows: Rows = ADJECTIVES, templates: Sequence[str] = TEMPLATES, backwards: bool = False
) -> TextPair | None:
    """The prompt pair with these words, if they differ; `backwards`, the second of each pair is given."""
    if words["word"] == words["other word"]:
        return None
    one, other = rows.words(words["word"]), rows.words(words["other word"])
    given, asked = COLUMNS[::-1] if backwards else COLUMNS
    template = templates[int(words["template"])]
    return TextPair(
        clean=template.format(word=one[given]),
        corrupt=template.format(word=other[given]),
        answers=(" " + one[asked],),
        distractors=(" " + other[asked],),
        wording=Wording.of(words, words["template"]),
    )


SLOTS = Slots(ADJECTIVES.two(TEMPLATES), write)


PLAIN = ("The opposite of {word} is", "The antonym of {word} is", "The word that means the opposite of {word} is")
ONE_EXAMPLE = ("big and small, {word} and", "big : small, {word} :", "not big but small, not {word} but")
MANY_EXAMPLES = (
    "in and out, up and down, black and white, big and small, light and heavy, {word} and",
    "in : out, up : down, black : white, big : small, light : heavy, {word} :",
)
WITH_THE_WORD = (
    "{word} things are not small. black and white, big and small, {word} and",
    "I like {word} things. They are opposites, like up and down, or like {word} and",
)
CONTRASTS = ("It is not {word} but", "It was once {word}, but now it is", "Is it {word} or")
NOUNS = opposites(
    """
    love:hate war:peace day:night life:death friend:enemy man:woman king:queen brother:sister father:mother
    summer:winter heaven:hell north:south success:failure supply:demand profit:loss beginning:end question:answer
    boy:girl husband:wife past:future
    """
)
VERBS = opposites(
    """
    buy:sell push:pull win:lose start:stop rise:fall give:take come:go accept:reject increase:decrease expand:contract
    attack:defend import:export include:exclude remember:forget sit:stand laugh:cry live:die
    """
)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    backwards = TemplatePrompts.of(Slots(ADJECTIVES.two(TEMPLATES), partial(write, backwards=True)))
    return (
        Variation("no example", "The opposite is asked for without an example.", _opposites(templates=PLAIN)),
        Variation("one example", "One pair of opposites comes first.", _opposites(templates=ONE_EXAMPLE)),
        Variation("many examples", "Five pairs of opposites come first.", _opposites(templates=MANY_EXAMPLES)),
        Variation("contrast", "Nothing is said of opposites: not hot but.", _opposites(templates=CONTRASTS)),
        Variation("word twice", "The word has been named before.", _opposites(templates=WITH_THE_WORD)),
        Variation("backwards", "The other word of each pair is given.", backwards),
        Variation("nouns", "The words are nouns.", _opposites(NOUNS)),
        Variation("verbs", "The words are verbs.", _opposites(VERBS)),
    )


def _opposites(rows: Rows = ADJECTIVES, templates: Sequence[str] = TEMPLATES) -> TemplatePrompts:
    return TemplatePrompts.of(Slots(rows.two(templates), partial(write, rows=rows, templates=templates)))


def task() -> Task:
    """The task `antonyms`."""
    return Task(
        name="antonyms",
        about=About(
            "Names the opposite of a word: black and white, big and small, hot and -> cold.",
            "Todd et al. 2023, Function Vectors in Large Language Models, arXiv:2310.15213",
        ),
        model="smollm2-135m",
        metric="logit_difference",
        prompts=TemplatePrompts.of(SLOTS),
        variations=variations(),
    )
