"""The edge cases of induction: other distances and numbers of repeats, a single repeated pair, other kinds of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.builtin.induction import SLOTS, draw
from tasks.builtin.ioi import NAMES
from tasks.builtin.vocabulary import LETTERS, WORDS
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("distance 4", "Four words repeat.", _repeats(4, (2, 3))),
        Variation("distance 5", "Five words repeat.", usual.where(lambda words: len(listed("word", words)) == 5)),
        Variation("distance 8", "Eight words repeat.", usual.where(lambda words: len(listed("word", words)) == 8)),
        Variation("distance 12", "Twelve words repeat.", _repeats(12, range(2, 12))),
        Variation(
            "three rounds", "The words have been repeated once in full before.", _repeats(6, range(2, 6), rounds=2)
        ),
        Variation(
            "begins to repeat",
            "Only two words have been repeated.",
            usual.where(lambda words: words["repeated"] == "2"),
        ),
        Variation(
            "ends to repeat",
            "All words but one have been repeated.",
            usual.where(lambda words: int(words["repeated"]) == len(listed("word", words)) - 1),
        ),
        Variation(
            "one pair", "Of all words only the current one stood before.", _repeats(8, range(2, 8), only_last=True)
        ),
        Variation("names", "The words are names.", _repeats(6, range(2, 6), among=NAMES)),
        Variation("letters", "The words are letters.", _repeats(5, range(2, 5), among=LETTERS)),
    )


def _repeats(
    length: int,
    repeated: Sequence[int],
    *,
    rounds: int = 1,
    among: tuple[str, ...] = WORDS,
    only_last: bool = False,
) -> TemplatePrompts:
    """So many words, once or more in full, and then their beginning, or with `only_last` just the last word of that."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        first, other = listed("word", words), listed("other word", words)
        until, wrong = int(words["repeated"]), int(words["distractor"]) - 1
        if len({*first, *other}) < len(first) + len(other) or wrong == until:
            return None
        clean = first * rounds + first[until - 1 if only_last else 0 : until]
        return TextPair(
            clean=" ".join(clean),
            corrupt=" ".join(other[: len(clean)]),
            answers=(" " + first[until],),
            distractors=(" " + first[wrong],),
            template=f"{until} repeated",
            filling=tuple(words.items()),
        )

    longest = length * rounds + (1 if only_last else max(repeated))
    return TemplatePrompts.of(
        Slots(
            {
                **numbered("word", [among] * length),
                **numbered("other word", [among] * longest),
                "repeated": tuple(map(str, repeated)),
                "distractor": tuple(str(place) for place in range(1, length + 1)),
            },
            write,
        )
    )
