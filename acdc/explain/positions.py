"""What each position of a prompt is called: the slot whose word stands there, or `END`, where it is scored."""

from __future__ import annotations

from acdc.slot_words import slot_words
from acdc.tasks.pairs import Tokenizer, TokenPair

END = "END"
OTHER = "other"
FIRST = "first"


def position_names(pair: TokenPair, tokenizer: Tokenizer | None, position: int | None = None) -> tuple[str, ...]:
    """A name for every position of the clean prompt, scored at `position` (None: its first scored one).

    That is `END`; a slot's word, at its last token, has the slot's name (`giver`), and where it stands again it has
    `giver 2` and so on; the first token is `first` and all others are `other`. Prompts of token ids have no slots.
    """
    names = [OTHER] * len(pair.clean)
    for word in slot_words(pair, tokenizer):
        if names[word.end - 1] == OTHER:
            names[word.end - 1] = word.name
    if names[0] == OTHER:
        names[0] = FIRST
    names[pair.position if position is None else position] = END
    return tuple(names)
