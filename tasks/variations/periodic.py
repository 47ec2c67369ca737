"""The edge cases of periodic: other periods, longer and broken sequences, symbols of other and of several kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.builtin.periodic import SLOTS, SYMBOLS, draw
from tasks.builtin.vocabulary import DIGITS, LETTERS, WORDS, words
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair

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
            tokens = [pattern[place % len(pattern)] for place in range(length)]
            if broken:
                tokens[int(words["broken at"])] = strays[-1]
            sides.append(" ".join([*strays[:before], *tokens]))
        return TextPair(
            clean=sides[0],
            corrupt=sides[1],
            answers=(" " + clean[length % period],),
            distractors=(" " + corrupt[length % other],),
            template=f"{length} symbols",
            filling=tuple(words.items()),
        )

    places = {"length": tuple(map(str, lengths))}
    if broken:
        places["broken at"] = tuple(str(place) for place in range(period, 2 * period))

    def slots(among: Sequence[tuple[str, ...]], strays: tuple[str, ...]) -> Slots:
        symbols = {**numbered("symbol", among[:period]), **numbered("other symbol", among[period:])}
        return Slots({**symbols, **numbered("stray", [strays] * stray), **places}, write)

    if kinds:
        return TemplatePrompts.of(slots(kinds, SYMBOLS))
    of_kinds = [slots([kind] * (period + other), kind) for kind in KINDS]
    return TemplatePrompts(
        lambda rng: of_kinds[rng.integers(len(KINDS))].draw(rng), slots([SYMBOLS] * (period + other), SYMBOLS)
    )
