"""Subject-verb agreement across an attractor: `The keys near the cabinet` -> ` are`, not ` is`.

The corrupt prompt has the subject in the other number and the same attractor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.builtin.vocabulary import words
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, numbered
from acdc.tasks.task import About, Task, Variation

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
        subject, attractor = (nouns[nth] for nth in rng.choice(len(nouns), 2, replace=False))
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
        wording=Wording.of(words, f"{template.split()[0]}, {'same' if number == other else 'opposite'} number"),
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


NO_ATTRACTOR = tuple(template.split(" {preposition}")[0] for template in TEMPLATES)


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)

    def numbers(subject: str, attractor: str) -> TemplatePrompts:
        return usual.where(lambda w: (w["subject's number"], w["attractor's number"]) == (subject, attractor))

    return (
        Variation("no attractor", "The verb follows its subject.", _sentences("")),
        Variation("plural attractor", "One thing near several others.", numbers("singular", "plural")),
        Variation("singular attractor", "Several things near another one.", numbers("plural", "singular")),
        Variation(
            "two attractors", "Two other nouns stand between subject and verb.", _sentences(" {0} the {1} {2} the {3}")
        ),
        Variation(
            "two joined", "Two other nouns, joined by and, stand in between.", _sentences(" {0} the {1} and the {3}")
        ),
        Variation(
            "other prepositions",
            "The nouns are joined by at, from or to.",
            _sentences(" {0} the {1}", prepositions=("at", "from", "to")),
        ),
        Variation("relative clause", "The attractor is the subject of a clause.", _sentences(" that the {1} found")),
        Variation("possessor", "The attractor is what the subject is of.", _sentences(" of the {1}")),
    )


def _sentences(between: str, prepositions: tuple[str, ...] = PREPOSITIONS) -> TemplatePrompts:
    """Sentences with this between subject and verb: {0} and {2} are prepositions, {1} and {3} nouns."""
    attractors = between.count("{1}") + between.count("{3}")
    openings = dict(zip(NO_ATTRACTOR, TEMPLATES.values(), strict=True))

    def write(words: Mapping[str, str]) -> TextPair | None:
        subject, near = words["subject"], [words[f"attractor {nth + 1}"] for nth in range(attractors)]
        if len({subject, *near}) < 1 + len(near):
            return None
        forms = [
            (noun, NOUNS[noun])[NUMBERS.index(words[f"attractor {nth + 1}'s number"])] for nth, noun in enumerate(near)
        ]
        which = [words.get(f"preposition {nth}", "") for nth in (1, 2)]
        filler = between.format(which[0], *forms[:1] or [""], which[1], *forms[1:] or [""])
        number = NUMBERS.index(words["subject's number"])
        right, wrong = (subject, NOUNS[subject])[number], (subject, NOUNS[subject])[1 - number]
        opening = words["opening"]
        return TextPair(
            clean=opening.format(right) + filler,
            corrupt=opening.format(wrong) + filler,
            answers=(" " + openings[opening][number],),
            distractors=(" " + openings[opening][1 - number],),
            wording=Wording.of(words, opening.split()[0]),
        )

    nouns = {f"attractor {nth + 1}": tuple(NOUNS) for nth in range(attractors)}
    kinds = {f"{attractor}'s number": NUMBERS for attractor in nouns}
    return TemplatePrompts.of(
        Slots(
            {
                "opening": NO_ATTRACTOR,
                "subject": tuple(NOUNS),
                "subject's number": NUMBERS,
                **nouns,
                **kinds,
                **numbered("preposition", [prepositions] * (between.count("{0}") + between.count("{2}"))),
            },
            write,
        )
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
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
