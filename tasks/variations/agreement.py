"""The edge cases of agreement: no, two and other attractors, and other ways to put them between subject and verb."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.builtin.agreement import NOUNS, NUMBERS, PREPOSITIONS, SLOTS, TEMPLATES, draw
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair

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
        subject, near = words["subject"], [words[f"attractor {place + 1}"] for place in range(attractors)]
        if len({subject, *near}) < 1 + len(near):
            return None
        forms = [
            (noun, NOUNS[noun])[NUMBERS.index(words[f"attractor {place + 1}'s number"])]
            for place, noun in enumerate(near)
        ]
        which = [words.get(f"preposition {place}", "") for place in (1, 2)]
        filler = between.format(which[0], *forms[:1] or [""], which[1], *forms[1:] or [""])
        number = NUMBERS.index(words["subject's number"])
        right, wrong = (subject, NOUNS[subject])[number], (subject, NOUNS[subject])[1 - number]
        opening = words["opening"]
        return TextPair(
            clean=opening.format(right) + filler,
            corrupt=opening.format(wrong) + filler,
            answers=(" " + openings[opening][number],),
            distractors=(" " + openings[opening][1 - number],),
            template=opening.split()[0],
            filling=tuple(words.items()),
        )

    nouns = {f"attractor {place + 1}": tuple(NOUNS) for place in range(attractors)}
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
