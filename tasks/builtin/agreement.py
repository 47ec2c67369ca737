"""Subject-verb agreement across an attractor: `The keys near the cabinet` -> ` are`, not ` is`.

The corrupt prompt has the subject in the other number and the same attractor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import words
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots
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
NUMBERS = ("singular", "plural")
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
    numbers = {"subject's number": NUMBERS[rng.integers(2)], "attractor's number": NUMBERS[rng.integers(2)]}
    template = list(TEMPLATES)[rng.integers(len(TEMPLATES))]
    preposition = PREPOSITIONS[rng.integers(len(PREPOSITIONS))]
    nouns_drawn = {"subject": subject, "attractor": attractor}
    pair = write({**nouns_drawn, **numbers, "preposition": preposition, "template": template})
    assert pair is not None  # the nouns differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if its two nouns differ; `subject` and `attractor` are in the singular."""
    subject, attractor = words["subject"], words["attractor"]
    if subject == attractor:
        return None
    number, other = (NUMBERS.index(words[f"{role}'s number"]) for role in ("subject", "attractor"))
    template = words["template"]
    verbs = TEMPLATES[template]
    right, wrong = (subject, NOUNS[subject])[number], (subject, NOUNS[subject])[1 - number]
    near = (attractor, NOUNS[attractor])[other]
    return TextPair(
        clean=template.format(right, near, preposition=words["preposition"]),
        corrupt=template.format(wrong, near, preposition=words["preposition"]),
        answers=(" " + verbs[number],),
        distractors=(" " + verbs[1 - number],),
        template=f"{template.split()[0]}, {'same' if number == other else 'opposite'} number",
        filling=tuple(words.items()),
    )


SLOTS = Slots(
    {
        **dict.fromkeys(("subject", "attractor"), tuple(NOUNS)),
        **dict.fromkeys(("subject's number", "attractor's number"), NUMBERS),
        "preposition": PREPOSITIONS,
        "template": tuple(TEMPLATES),
    },
    write,
)


def task() -> Task:
    """The task `agreement`."""
    from tasks.variations.agreement import variations  # which draws with what is above

    return Task(
        name="agreement",
        about=About(
            "Makes the verb agree with its subject, not with a nearer noun: The keys near the cabinet -> are.",
            "Linzen et al. 2016, Assessing the Ability of LSTMs, arXiv:1611.01368",
        ),
        model="everyday-4l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
