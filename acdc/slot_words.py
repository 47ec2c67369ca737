"""Where the words of a task's slots stand in a prompt, in tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from acdc.tasks.pairs import Tokenizer, TokenPair
from acdc.tasks.token_ids import is_token_ids


class SlotOccurrence(NamedTuple):
    """A slot's word in the clean prompt: from token `start` to before `end`; named `slot`, where it stands again
    `slot 2` and so on.
    """

    name: str
    start: int
    end: int


def slot_words(pair: TokenPair, tokenizer: Tokenizer | None) -> Iterator[SlotOccurrence]:
    """The words of all slots, in the order of the slots; prompts of token ids have none."""
    if tokenizer is None or is_token_ids(pair.text):
        return
    taken: set[str] = set()
    for slot, filling in pair.text.wording.filling:
        if slot.startswith("other "):  # what stands in the corrupt prompt
            continue
        found: set[tuple[int, int]] = set()
        for word in filling.split(", "):  # the words of a row stand together in a slot
            if not word.strip() or word in taken:
                continue
            taken.add(word)
            for written in (f" {word}", word):
                ids = tuple(tokenizer.encode(written, add_special_tokens=False))
                found.update((end - len(ids), end) for end in _occurrences(ids, pair.clean))
        ends = {end: max(start for start, other in found if other == end) for _, end in found}
        for number, end in enumerate(sorted(ends), start=1):
            yield SlotOccurrence(slot if number == 1 else f"{slot} {number}", ends[end], end)


def _occurrences(ids: tuple[int, ...], tokens: tuple[int, ...]) -> Iterator[int]:
    """After which positions these tokens stand in others."""
    if ids:
        yield from (
            start + len(ids) for start in range(len(tokens) - len(ids) + 1) if tokens[start : start + len(ids)] == ids
        )
