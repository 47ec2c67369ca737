"""What each position of a prompt is called: the slot whose word stands there, or `END`, where it is scored."""

from __future__ import annotations

from collections.abc import Iterator

from acdc.tasks.pairs import Tokenizer, TokenPair
from acdc.tasks.token_ids import is_token_ids

END = "END"
OTHER = "other"
FIRST = "first"


def position_names(pair: TokenPair, tokenizer: Tokenizer | None, position: int | None = None) -> tuple[str, ...]:
    """A name for every position of the clean prompt, scored at `position` (None: its first scored one).

    That is `END`; a slot's word, at its last token, has the slot's name (`giver`), and where it stands again it has
    `giver 2` and so on; the first token is `first` and all others are `other`. Prompts of token ids have no slots.
    """
    names = [OTHER] * len(pair.clean)
    if tokenizer is not None and not is_token_ids(pair.text):
        for slot, end in _ends(pair, tokenizer):
            if names[end] == OTHER:
                names[end] = slot
    if names[0] == OTHER:
        names[0] = FIRST
    names[pair.position if position is None else position] = END
    return tuple(names)


def _ends(pair: TokenPair, tokenizer: Tokenizer) -> Iterator[tuple[str, int]]:
    """Where the words of slots end, as `slot` or `slot 2`, with the position, in the order of the slots."""
    taken: set[str] = set()
    for slot, filling in pair.text.wording.filling:
        if slot.startswith("other "):  # what stands in the corrupt prompt
            continue
        found: set[int] = set()
        for word in filling.split(", "):  # the words of a row stand together in a slot
            if not word.strip() or word in taken:
                continue
            taken.add(word)
            for written in (f" {word}", word):
                ids = tuple(tokenizer.encode(written, add_special_tokens=False))
                found.update(end - 1 for end in _occurrences(ids, pair.clean))
        for number, end in enumerate(sorted(found), start=1):
            yield (slot if number == 1 else f"{slot} {number}"), end


def _occurrences(ids: tuple[int, ...], tokens: tuple[int, ...]) -> Iterator[int]:
    """After which positions these tokens stand in others."""
    if ids:
        yield from (
            start + len(ids) for start in range(len(tokens) - len(ids) + 1) if tokens[start : start + len(ids)] == ids
        )
