"""A word-level tokenizer in the ordinary files that transformers loads: one word, one token.

Words, two-digit numbers and punctuation marks are one token each and white space disappears, so the prompts that suit
this tokenizer (" Mary", "1732" as "17" and "32") are also prompts for a byte-pair tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

END = "<|endoftext|>"
UNKNOWN = "<unk>"
PIECE = r'"""|\d{2}|\d|[A-Za-z]+|[^\sA-Za-z\d]'


def word_level_tokenizer(words: Sequence[str]) -> Any:
    """A `PreTrainedTokenizerFast` whose vocabulary is the end-of-text token, the unknown token and then these words."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(dict.fromkeys((END, UNKNOWN, *words)))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Split(Regex(PIECE), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(words: Sequence[str], positions: int, directory: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` for these words into a model's directory."""
    word_level_tokenizer(words).backend_tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # the class name that every transformers version knows
        "model_max_length": positions,
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "unk_token": UNKNOWN,
        "clean_up_tokenization_spaces": False,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
