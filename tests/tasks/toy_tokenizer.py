"""A tokenizer small enough to follow by eye: a word with its leading space is a token if listed, else letters are."""

from __future__ import annotations

import re
from dataclasses import dataclass

BOS, EOS, UNKNOWN = 0, 1, 2
SPECIAL = ("<bos>", "<eos>", "<unk>")


@dataclass(frozen=True)
class ToyTokenizer:
    """Merges a listed word (leading space included, as in byte-pair vocabularies); other letters stand alone."""

    words: tuple[str, ...] = ()
    bos: bool = False
    eos: bool = False
    pieces: bool = False
    """True: a word is written by the longest listed pieces that it begins with."""
    closed: bool = False
    """True: what is not listed becomes `<unk>`, one per word, as in word-level vocabularies."""

    @property
    def unk_token_id(self) -> int | None:
        return UNKNOWN if self.closed else None

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        own: list[int] = []
        for piece in re.findall(r"<\w+>| ?[^\s<]+| ", text):
            if piece in SPECIAL:
                own.append(SPECIAL.index(piece))
            elif piece in self.words:
                own.append(len(SPECIAL) + self.words.index(piece))
            elif self.pieces:
                own.extend(self._pieces(piece))
            elif self.closed:
                own.append(UNKNOWN)
            else:
                own.extend(1000 + ord(letter) for letter in piece)
        if not add_special_tokens:
            return own
        return [BOS] * self.bos + own + [EOS] * self.eos

    def _pieces(self, text: str) -> list[int]:
        longest = max((word for word in self.words if text.startswith(word)), key=len, default="")
        if not text:
            return []
        token = len(SPECIAL) + self.words.index(longest) if longest else 1000 + ord(text[0])
        return [token, *self._pieces(text[len(longest) or 1 :])]

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        known = (*SPECIAL, *self.words)
        return [chr(token - 1000) if token >= 1000 else known[token] for token in ids]
