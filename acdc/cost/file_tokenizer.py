"""A checkpoint's tokenizer from its tokenizer.json alone: for the number and lengths of prompts, and loaded at once.

Transformers' own loading of it loads torch as well, which takes seconds. What it may do otherwise than the file says
changes no length that matters here; where prompts cannot be written with this one, the other has the last word.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class FileTokenizer:
    """What `acdc.tasks.Tokenizer` asks for; `unk_token_id` is that of unknown words, if there is one."""

    inner: Tokenizer
    unk_token_id: int | None

    @staticmethod
    def of(directory: Path) -> FileTokenizer | None:
        """The tokenizer of the checkpoint in a directory; None where its file is missing or damaged."""
        import tokenizers

        try:
            inner = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
            config: Any = json.loads((directory / "tokenizer_config.json").read_text("utf-8"))
            unknown = config.get("unk_token")
            unknown = unknown.get("content") if isinstance(unknown, dict) else unknown
            return FileTokenizer(inner, inner.token_to_id(unknown) if isinstance(unknown, str) else None)
        except Exception:  # the library raises Exception itself, for whatever is wrong with a file
            return None

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the text's tokens, with the tokenizer's own special tokens around them if asked."""
        ids: list[int] = self.inner.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Return the tokens as the vocabulary writes them."""
        return [str(self.inner.id_to_token(index)) for index in ids]
