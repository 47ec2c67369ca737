"""Periodic sequences: after `A B A B A` comes ` B`.

The corrupt prompt has the same length, other symbols and another period: neither the symbols nor the distances at which
they repeat survive in it, so a circuit must carry how the repetition is found as well as what is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.builtin.combinations import Combinations
from tasks.builtin.vocabulary import DIGITS, LETTERS, WORDS
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import About, Task
from tasks.tokenisation import TextPair

SYMBOLS = (*LETTERS, *DIGITS, *WORDS)
_KINDS = {"letters": LETTERS, "digits": DIGITS, "words": WORDS}


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A pattern of period 2 or 3 that breaks off in its third round; the answer continues it.

    A combination is two neighbouring symbols, in alphabetical order.
    """
    while True:
        kind = list(_KINDS)[rng.integers(len(_KINDS))]
        period = int(rng.integers(2, 4))
        drawn = [str(symbol) for symbol in rng.choice(_KINDS[kind], 5, replace=False)]
        clean, other = drawn[:period], drawn[period:]
        if all(among.admits(*sorted(pair)) for pair in zip(clean, [*clean[1:], clean[0]], strict=True)):
            break
    length = 2 * period + int(rng.integers(1, period + 1))
    pair = write({**numbered("symbol", clean), **numbered("other symbol", other), "length": str(length)})
    assert pair is not None  # the symbols differ and are of one kind
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these symbols, if all differ and are of one kind, and the pattern breaks off in round 3."""
    clean, other = listed("symbol", words), listed("other symbol", words)
    period, length = len(clean), int(words["length"])
    symbols = {*clean, *other}
    kind = next((kind for kind, known in _KINDS.items() if symbols <= set(known)), None)
    if kind is None or len(symbols) < len(clean) + len(other) or not 2 * period < length <= 3 * period:
        return None
    return TextPair(
        clean=_repeat(clean, length),
        corrupt=_repeat(other, length),
        answers=(" " + clean[length % len(clean)],),
        distractors=(" " + other[length % len(other)],),
        template=f"{kind}, period {period}",
        filling=tuple(words.items()),
    )


def _repeat(pattern: Sequence[str], length: int) -> str:
    return " ".join(pattern[place % len(pattern)] for place in range(length))


SLOTS = Slots(
    {
        **numbered("symbol", [SYMBOLS] * 3),
        **numbered("other symbol", [SYMBOLS] * 3),
        "length": tuple(str(length) for length in range(5, 10)),
    },
    write,
)


def task() -> Task:
    """The task `periodic`."""
    from tasks.variations.periodic import variations  # which draws with what is above

    return Task(
        name="periodic",
        about=About("Continues a periodic sequence: A B A B A -> B."),
        model="periodic-2l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
