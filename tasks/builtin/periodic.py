"""Periodic sequences: after `A B A B A` comes ` B`.

The corrupt prompt has the same length, other symbols and another period: neither the symbols nor the distances at which
they repeat survive in it, so a circuit must carry how the repetition is found as well as what is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.builtin.vocabulary import DIGITS, LETTERS, WORDS, words
from acdc.tasks.pairs import Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

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
        wording=Wording.of(words, f"{kind}, period {period}"),
        scoring=Scoring(answers_as="first-difference"),
    )


def _repeat(pattern: Sequence[str], length: int) -> str:
    return " ".join(pattern[index % len(pattern)] for index in range(length))


SLOTS = Slots(
    {
        **numbered("symbol", [SYMBOLS] * 3),
        **numbered("other symbol", [SYMBOLS] * 3),
        "length": tuple(str(length) for length in range(5, 10)),
    },
    write,
)


KINDS = (LETTERS, DIGITS, WORDS)
SCRIPTS = (words("α β γ δ λ μ π σ τ ω"), words("а в и к о с у я"))


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("period 1", "One symbol again and again.", _sequences(1, 2, range(4, 9))),
        Variation("period 3", "Three symbols take turns.", usual.where(lambda words: "symbol 3" in words)),
        Variation("period 4", "Four symbols take turns.", _sequences(4, 3, range(9, 13))),
        Variation("period 5", "Five symbols take turns.", _sequences(5, 4, range(11, 16))),
        Variation("long", "Two or three symbols take turns for ten rounds or more.", _sequences(3, 2, range(31, 43))),
        Variation(
            "broken once",
            "A stranger stands where a symbol should be, once, in the second round of four.",
            _sequences(3, 2, range(10, 13), broken=True),
        ),
        Variation("digits", "All symbols are digits.", usual.where(lambda words: words["symbol 1"] in DIGITS)),
        Variation(
            "mixed kinds",
            "Letters, digits and words take turns.",
            _sequences(3, 2, range(7, 10), kinds=(*KINDS, *KINDS)),
        ),
        Variation(
            "mixed scripts",
            "Latin, Greek and Cyrillic letters take turns.",
            _sequences(3, 2, range(7, 10), kinds=(LETTERS, *SCRIPTS, LETTERS, SCRIPTS[0])),
        ),
        Variation("unrelated start", "Two other symbols come first.", _sequences(3, 2, range(7, 10), before=2)),
    )


def _sequences(
    period: int,
    other: int,
    lengths: Sequence[int],
    *,
    kinds: Sequence[tuple[str, ...]] = (),
    broken: bool = False,
    before: int = 0,
) -> TemplatePrompts:
    """Sequences of these lengths and this period, the corrupt ones of the other one; all symbols are of one kind, but
    with `kinds` each has its own.
    """
    stray = before + int(broken)

    def write(words: Mapping[str, str]) -> TextPair | None:
        clean, corrupt = listed("symbol", words), listed("other symbol", words)
        strays, length = listed("stray", words), int(words["length"])
        used = [*clean, *corrupt, *strays]
        if len(set(used)) < len(used) or not (kinds or any(set(used) <= set(kind) for kind in KINDS)):
            return None
        sides = []
        for pattern in (clean, corrupt):
            tokens = [pattern[index % len(pattern)] for index in range(length)]
            if broken:
                tokens[int(words["broken at"])] = strays[-1]
            sides.append(" ".join([*strays[:before], *tokens]))
        return TextPair(
            clean=sides[0],
            corrupt=sides[1],
            answers=(" " + clean[length % period],),
            distractors=(" " + corrupt[length % other],),
            wording=Wording.of(words, f"{length} symbols"),
            scoring=Scoring(answers_as="first-difference"),
        )

    indices = {"length": tuple(map(str, lengths))}
    if broken:
        indices["broken at"] = tuple(str(index) for index in range(period, 2 * period))

    def slots(among: Sequence[tuple[str, ...]], strays: tuple[str, ...]) -> Slots:
        symbols = {**numbered("symbol", among[:period]), **numbered("other symbol", among[period:])}
        return Slots({**symbols, **numbered("stray", [strays] * stray), **indices}, write)

    if kinds:
        return TemplatePrompts.of(slots(kinds, SYMBOLS))
    of_kinds = [slots([kind] * (period + other), kind) for kind in KINDS]
    return TemplatePrompts(
        lambda rng: of_kinds[rng.integers(len(KINDS))].draw(rng), slots([SYMBOLS] * (period + other), SYMBOLS)
    )


def task() -> Task:
    """The task `periodic`."""
    return Task(
        name="periodic",
        about=About("Continues a periodic sequence: A B A B A -> B."),
        model="periodic-2l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
