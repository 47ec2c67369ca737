"""Subject-verb agreement across an attractor: `The keys near the cabinet` -> ` are`, not ` is`.

The corrupt prompt has the subject in the other number and the same attractor.
"""

from __future__ import annotations

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import words
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

NOUNS = {
    noun: noun + "s"
    for noun in words(
        """
        key cabinet book table doctor teacher student friend farmer driver dog cat horse bird car truck boat
        plane letter picture window door wall house school shop garden tree flower river road bridge king
        queen boy girl lawyer writer player singer guard pilot manager author actor artist bottle box cup
        plate knife lamp chair bed phone camera computer ring coat shirt hat toy ball bag
        """
    )
} | {"box": "boxes", "knife": "knives", "man": "men", "woman": "women", "child": "children"}
PREPOSITIONS = ("near", "behind", "beside", "under", "above", "by")
TEMPLATES = {
    "The {0} {preposition} the {1}": ("is", "are"),
    "I think that the {0} {preposition} the {1}": ("is", "are"),
    "Yesterday the {0} {preposition} the {1}": ("was", "were"),
    "Last year the {0} {preposition} the {1}": ("was", "were"),
}


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A subject and an attractor, each in either number; the answer agrees with the subject.

    A combination is the subject and the attractor, in this order, whatever their numbers.
    """
    nouns = list(NOUNS)
    while True:
        subject, attractor = (nouns[place] for place in rng.choice(len(nouns), 2, replace=False))
        if among.admits(subject, attractor):
            break
    number, other = int(rng.integers(2)), int(rng.integers(2))
    template = list(TEMPLATES)[rng.integers(len(TEMPLATES))]
    preposition = PREPOSITIONS[rng.integers(len(PREPOSITIONS))]
    near = (attractor, NOUNS[attractor])[other]
    right, wrong = (subject, NOUNS[subject])[number], (subject, NOUNS[subject])[1 - number]
    verbs = TEMPLATES[template]
    return TextPair(
        clean=template.format(right, near, preposition=preposition),
        corrupt=template.format(wrong, near, preposition=preposition),
        answers=(" " + verbs[number],),
        distractors=(" " + verbs[1 - number],),
        template=f"{template.split()[0]}, {'same' if number == other else 'opposite'} number",
    )


def task() -> Task:
    """The task `agreement`."""
    return Task(
        name="agreement",
        about=About(
            "Makes the verb agree with its subject, not with a nearer noun: The keys near the cabinet -> are.",
            "Linzen et al. 2016, Assessing the Ability of LSTMs, arXiv:1611.01368",
        ),
        model="everyday-4l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
