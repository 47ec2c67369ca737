"""A tokenizer that writes each word once: for many prompts made of the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, final

from acdc.tasks.tokenisation import Tokenizer

_PIECE = re.compile(r"\s*\S+|\s+")


@final
class WordTokenizer:
    """A tokenizer's own tokens, put together from those of words, where it writes `texts` just so.

    Each word goes with the space before it. A tokenizer whose words depend on each other is asked for every text, once.
    That it writes all `texts` word by word does not prove that it writes every text so: what matters must be tokenised
    again by the tokenizer itself.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[str, bool], list[int]] = {}
        self.unk_token_id: int | None = getattr(tokenizer, "unk_token_id", None)
        self._around = _around(tokenizer)
        self.by_word = self._around is not None and all(
            self._joined(text, special) == tokenizer.encode(text, add_special_tokens=special)
            for text in texts
            for special in (True, False)
        )

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The text's tokens, with special tokens around them if asked."""
        return self._joined(text, add_special_tokens) if self.by_word else self._whole(text, add_special_tokens)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """The tokens as the vocabulary writes them."""
        return self._tokenizer.convert_ids_to_tokens(ids)

    @property
    def chat_template(self) -> str | None:
        """The tokenizer's own chat template; None where it has none."""
        return getattr(self._tokenizer, "chat_template", None)

    def apply_chat_template(self, conversation: list[dict[str, str]], **settings: Any) -> Any:
        """The conversation in the tokenizer's own chat template."""
        tokenizer: Any = self._tokenizer
        return tokenizer.apply_chat_template(conversation, **settings)

    def _joined(self, text: str, special: bool) -> list[int]:
        own = [token for piece in _PIECE.findall(text) for token in self._whole(piece, False)]
        if not special:
            return own
        assert self._around is not None
        before, after = self._around
        return [*before, *own, *after]

    def _whole(self, text: str, special: bool) -> list[int]:
        key = (text, special)
        if key not in self._known:
            self._known[key] = self._tokenizer.encode(text, add_special_tokens=special)
        return self._known[key]


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]] | None:
    """The special tokens before and after a text; None where they change the text between them."""
    text = " a"
    own, whole = (tokenizer.encode(text, add_special_tokens=special) for special in (False, True))
    starts = (start for start in range(len(whole) - len(own) + 1) if whole[start : start + len(own)] == own)
    start = next(starts, None)
    return None if start is None else (whole[:start], whole[start + len(own) :])
