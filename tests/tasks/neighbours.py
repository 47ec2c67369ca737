"""Every prompt that is one word away from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from acdc.tasks.slots import Slots
from acdc.tasks.tokenisation import TextPair


def neighbours_of(slots: Slots, pair: TextPair) -> Iterator[tuple[str, str, TextPair]]:
    """Every prompt that differs from the pair in the word of one slot, with this slot and this word.

    A slot whose word the prompt does not show, because it is too short for it, changes nothing and is left out.
    """
    for slot, word in pair.wording.filling:
        for other in slots.choices[slot]:
            changed = slots.rewrite(pair, slot, other) if other != word else None
            if changed is not None and replace(changed, wording=pair.wording) != pair:
                yield slot, other, changed
