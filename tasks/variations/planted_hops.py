"""The edge cases of planted_hops: where the asked pair stands, how many there are, and where the hops lead."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.builtin.planted_hops import LETTERS, PAIRS, SLOTS, draw
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("first pair", "The first pair is asked for.", usual.where(lambda words: words["asked"] == "1")),
        Variation("last pair", "The last pair is asked for.", usual.where(lambda words: words["asked"] == str(PAIRS))),
        Variation("three pairs", "There are three pairs.", _hops(3)),
        Variation("five pairs", "There are five pairs.", _hops(5)),
        Variation("loose ends", "Pairs that are not asked for lead to any letter.", _hops(PAIRS)),
    )


def _hops(pairs: int) -> TemplatePrompts:
    """Capitals, a letter after each, and the place of the one asked for; only what two hops pass is looked at."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        found = []
        for side in ("", "other "):
            capitals, after = listed(f"{side}capital", words), listed(f"{side}after", words)
            following, asked = dict(zip(capitals, after, strict=True)), capitals[int(words[f"{side}asked"]) - 1]
            if len(following) < pairs or following[asked] == asked or following[asked] not in following:
                return None
            text = " ".join(f"{capital} {letter.lower()}" for capital, letter in following.items())
            found.append((f"So {text} {asked}", following[following[asked]], asked))
        (clean, answer, asked), (corrupt, wrong, other) = found
        if answer == wrong or asked == other:
            return None
        return TextPair(
            clean=clean,
            corrupt=corrupt,
            answers=(" " + answer.lower(),),
            distractors=(" " + wrong.lower(),),
            template=f"pair {words['asked']} is asked for",
            filling=tuple(words.items()),
        )

    places = tuple(str(place) for place in range(1, pairs + 1))
    side = {**numbered("capital", [LETTERS] * pairs), **numbered("after", [LETTERS] * pairs), "asked": places}
    return TemplatePrompts.of(Slots({**side, **{f"other {slot}": choices for slot, choices in side.items()}}, write))
