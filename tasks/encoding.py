"""A text as a tokenizer writes it, and what of a longer text comes after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import final

from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.pairs import Tokenizer

_NAMED = 3
"""How many unknown words of a text are named."""


def shown(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """How many tokens these are, and how the vocabulary writes them."""
    return f"{len(ids)} tokens {tokenizer.convert_ids_to_tokens(list(ids))}"


@final
@dataclass(frozen=True)
class Encoded:
    """A text's tokens: special tokens first, then from `start` its own; `tail` tokens after it were cut off."""

    text: str
    ids: tuple[int, ...]
    start: int
    tail: int
    _followed: dict[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def own(self) -> int:
        """How many tokens are the text's own."""
        return len(self.ids) - self.start

    @staticmethod
    def of(text: str, tokenizer: Tokenizer) -> Encoded:
        """The tokens of a text, with those that the tokenizer itself puts before it.

        Raises: BadPrompts when the text's own tokens are others with special tokens around them.
        """
        whole = tuple(tokenizer.encode(text, add_special_tokens=True))
        own = tuple(tokenizer.encode(text, add_special_tokens=False))
        starts = (start for start in range(len(whole) - len(own) + 1) if whole[start:][: len(own)] == own)
        start = next(starts, None)
        if start is None:
            raise BadPrompts(
                PromptProblem(
                    "this tokenizer writes a text differently with and without special tokens",
                    f"{tokenizer.convert_ids_to_tokens(list(whole))} and {tokenizer.convert_ids_to_tokens(list(own))}",
                    "special tokens only before or after the text's own tokens",
                    "use another tokenizer",
                )
            )
        end = start + len(own)
        return Encoded(text, whole[:end], start, len(whole) - end)

    def joined(self, word: str, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The tokens of the text and a word after it, without those that the tokenizer puts after a text."""
        if word not in self._followed:
            whole = tuple(tokenizer.encode(self.text + word, add_special_tokens=True))
            self._followed[word] = whole[: len(whole) - self.tail]
        return self._followed[word]

    def problems(self, side: str, tokenizer: Tokenizer) -> list[PromptProblem]:
        """What is wrong with the text as a prompt, which is the clean or the corrupt one."""
        tokens = tokenizer.convert_ids_to_tokens(list(self.ids))
        found = []
        if 0 < self.start < len(self.ids) and self.ids[self.start] == self.ids[self.start - 1]:
            found.append(
                PromptProblem(
                    f"the {side} prompt starts with a special token twice",
                    f"{tokens[: self.start + 1]}",
                    "it once, as the tokenizer adds it",
                    f"remove {tokens[self.start]!r} from the prompt's text",
                )
            )
        unknown: int | None = getattr(tokenizer, "unk_token_id", None)
        # GPT-2 calls its end-of-text token "unknown" too, so a text that spells it out has none.
        if unknown in self.ids[self.start :] and tokenizer.convert_ids_to_tokens([unknown])[0] not in self.text:
            unwritten = (
                word
                for word in dict.fromkeys(self.text.split())
                if unknown in tokenizer.encode(" " + word, add_special_tokens=False)
            )
            found.append(
                PromptProblem(
                    f"the {side} prompt has a word that the tokenizer does not know",
                    f"{self.text!r} -> {tokens}",
                    "known words only",
                    "use words of the model's vocabulary",
                    words=tuple(islice(unwritten, _NAMED)),
                )
            )
        return found


def of_other_lengths(clean: str, corrupt: str, tokenizer: Tokenizer) -> tuple[str, ...]:
    """The words in whose place the other text has one of fewer tokens, where words stand for words."""
    sides = clean.split(), corrupt.split()
    if len(sides[0]) != len(sides[1]):
        return ()
    found = []
    for pair in zip(*sides, strict=True):
        if pair[0] != pair[1]:
            lengths = [len(tokenizer.encode(f" {word}", add_special_tokens=False)) for word in pair]
            found += [pair[lengths.index(max(lengths))].strip(",.:;()")] if lengths[0] != lengths[1] else []
    return tuple(dict.fromkeys(found))
