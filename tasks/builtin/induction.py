"""Induction: in a random sequence that repeats, the word that followed the current one before comes again.

The corrupt prompt consists of other words none of which repeats, so nothing in it can be copied; the distractor is
another word of the clean sequence, which tells copying the right word from copying any word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.builtin.ioi import NAMES
from acdc.tasks.builtin.vocabulary import LETTERS, WORDS
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

LONGEST = 8


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """Five to eight different words, then the beginning of the same words again; the answer is the next of them.

    A combination is two neighbouring words, in alphabetical order. Held-out draws are those whose current word and
    answer are held out; trained draws have no held-out neighbours at all.
    """
    length = int(rng.integers(5, LONGEST + 1))
    while True:
        drawn = [str(word) for word in rng.choice(WORDS, 3 * length, replace=False)]
        first, other = drawn[:length], drawn[length:]
        # The first word is left out as the current one: at the start of a text many tokenizers write it differently.
        repeated = int(rng.integers(2, length))
        neighbours = [sorted(pair) for pair in zip(first, [*first[1:], first[0]], strict=True)]
        asked = neighbours if among is Combinations.TRAINED else neighbours[repeated - 1 : repeated]
        if all(among.admits(*pair) for pair in asked):
            break
    wrong = [index for index in range(length) if index != repeated]
    which = {"repeated": str(repeated), "distractor": str(1 + wrong[rng.integers(len(wrong))])}
    pair = write({**numbered("word", first), **numbered("other word", other), **which})
    assert pair is not None  # the words differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if all differ; `distractor` is the place of one that is not the answer.

    The corrupt prompt takes as many of the other words as it needs.
    """
    first, other = listed("word", words), listed("other word", words)
    repeated, wrong = int(words["repeated"]), int(words["distractor"]) - 1
    if len({*first, *other}) < len(first) + len(other) or not max(repeated, wrong) < len(first) or wrong == repeated:
        return None
    return TextPair(
        clean=" ".join([*first, *first[:repeated]]),
        corrupt=" ".join(other[: len(first) + repeated]),
        answers=(" " + first[repeated],),
        distractors=(" " + first[wrong],),
        wording=Wording.of(words, f"{len(first)} words"),
    )


SLOTS = Slots(
    {
        **numbered("word", [WORDS] * LONGEST),
        **numbered("other word", [WORDS] * (2 * LONGEST)),
        "repeated": tuple(str(count) for count in range(2, LONGEST)),
        "distractor": tuple(str(index) for index in range(1, LONGEST + 1)),
    },
    write,
)


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
            wording=Wording.of(words, f"{until} repeated"),
        )

    longest = length * rounds + (1 if only_last else max(repeated))
    return TemplatePrompts.of(
        Slots(
            {
                **numbered("word", [among] * length),
                **numbered("other word", [among] * longest),
                "repeated": tuple(map(str, repeated)),
                "distractor": tuple(str(index) for index in range(1, length + 1)),
            },
            write,
        )
    )


def task() -> Task:
    """The task `induction`."""
    return Task(
        name="induction",
        about=About(
            "Repeats what followed a word before: cat sun map tree ... cat sun -> map.",
            "Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895",
        ),
        model="everyday-4l",
        metric="kl",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
