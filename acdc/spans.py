"""The spans of prompts, by which edges are kept or dropped position by position: slots, and the text between them.

A span is named by what stands there: the word of a slot (`giver`, `giver_2` where it stands again), the first token
(`BOS`, or `first_token` in models that have none), the scored position (`END`), and the text before each of these
(`before_giver_2`). So prompts of different lengths and wordings have the same spans. Where no prompt has a slot, spans
are so many positions before the scored one (`END-1`, `END-2`, ..., and `earlier`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from acdc.errors import BadSetting
from acdc.graphs.nodes import span_name
from acdc.slot_words import slot_words
from acdc.tasks.pairs import Tokenizer, TokenPair
from acdc.tasks.prompts import PromptPairs

if TYPE_CHECKING:
    from acdc.graphs.model import Model

BOS, FIRST, END, EARLIER = "BOS", "first_token", "END", "earlier"
_BACK = 15
"""How many positions before the scored one are spans of their own where there are no slots."""
_OFFSET = re.compile(rf"{END}-[0-9]+|{EARLIER}")
_NUMBER = re.compile(r" [0-9]+$")
_NO_WORDS = ("template", "order")
"""Slots that are filled by no word of the prompt."""


def by_position(model: Model, prompts: Sequence[PromptPairs]) -> Model:
    """The same model with edges by position: at each span of these prompts.

    Raises: BadSetting when there are too many edges then.
    """
    try:
        return model.by_position(spans_of(prompts, model.tokenizer, is_causal=model.is_causal))
    except ValueError as error:
        raise BadSetting(
            f"edges by position are too many: {error}; name fewer slots (`spans:` in a behaviour file), or leave out "
            "--positions"
        ) from error


def spans_of(prompts: Sequence[PromptPairs], tokenizer: Tokenizer | None, *, is_causal: bool = True) -> tuple[str, ...]:
    """The spans of these prompts in the order in which they stand; what follows the scored position counts unless
    nothing reads it (`is_causal`).
    """
    places: dict[str, list[float]] = {}
    pairs = [pair for some in prompts for pair in some.pairs]
    by_slot = any(_marks(pair, tokenizer) for pair in pairs)
    for pair in pairs:
        for scored in pair.scored:
            names = span_names(pair, tokenizer, scored.position, by_slot=by_slot)
            for position, name in enumerate(names[: scored.position] if is_causal else names):
                places.setdefault(name, []).append((position - scored.position) / (len(names) if by_slot else 1))
    places.pop(END, None)
    return (*sorted(places, key=lambda name: sum(places[name]) / len(places[name])), END)


def are_offsets(spans: Sequence[str]) -> bool:
    """Whether spans are positions before the scored one, as they are where no prompt has a slot."""
    return any(_OFFSET.fullmatch(name) for name in spans)


def span_names(pair: TokenPair, tokenizer: Tokenizer | None, scored: int, *, by_slot: bool) -> tuple[str, ...]:
    """The span of every position of a pair that is scored there, an answer's tokens included."""
    length = max(len(pair.clean), scored + 1)
    starts = _is_special(pair, tokenizer)
    if not by_slot:
        far = [scored - position for position in range(length)]
        names = [END if each == 0 else f"{END}-{each}" if 0 < each <= _BACK else EARLIER for each in far]
        names[scored + 1 :] = [f"after_{END}"] * (length - scored - 1)
        return (BOS, *names[1:]) if starts and scored else tuple(names)
    marks = {0: BOS if starts else FIRST} | _marks(pair, tokenizer) | {scored: END}
    found, following = [], f"after_{END}"
    for position in reversed(range(length)):
        name = marks.get(position)
        found.append(name or following)
        following = f"before_{name}" if name else following
    return tuple(reversed(found))


def _marks(pair: TokenPair, tokenizer: Tokenizer | None) -> dict[int, str]:
    """The names of the positions at which words of slots stand, those that are to be spans."""
    wanted, marks = pair.text.wording.spans, dict[int, str]()
    for word in slot_words(pair, tokenizer):
        slot = _NUMBER.sub("", word.name)
        of_slot = {word.name, slot, *slot.split(", ")}  # a slot that rows fill is called like all its columns
        if of_slot.isdisjoint(_NO_WORDS) and (wanted is None or not of_slot.isdisjoint(wanted)):
            for position in range(word.start, word.end):
                marks.setdefault(position, span_name(word.name))
    return marks


def _is_special(pair: TokenPair, tokenizer: Tokenizer | None) -> bool:
    """Whether the first token is none of the text's: one that says that the text begins."""
    known = getattr(tokenizer, "all_special_ids", ())
    return bool(pair.clean) and pair.clean[0] in known
