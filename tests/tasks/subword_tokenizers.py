"""Tokenizers of the two usual kinds, trained in a moment on the words of the built-in tasks, one in eight left out."""

from __future__ import annotations

import hashlib
import re
import string
from functools import cache

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Metaspace, Sequence
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from acdc import tasks
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.registry import BUILTIN

TEXT = tuple(name for name in BUILTIN if not name.startswith(("tracr_", "planted_", "siit_")))
"""The tasks of ordinary text, for any model; the others are in the words of one model, or of programs."""
KINDS = ("byte-pair", "byte-pair, BOS", "sentencepiece", "sentencepiece, BOS")
"""Bytes in pairs, as GPT-2 has them, and SentencePiece's characters, as Gemma has them; without and with a BOS token.

Both write numbers digit by digit, as most do that were made since 2023.
"""


@cache
def subword_tokenizer(kind: str, *, every_word: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer of a kind; with `every_word`, all words of the tasks are tokens."""
    special = ["<s>", "<unk>"]
    backend, digits, alphabet = Tokenizer(BPE()), Digits(individual_digits=True), ByteLevel.alphabet()
    if kind.startswith("byte-pair"):
        backend.pre_tokenizer = Sequence([digits, ByteLevel(add_prefix_space=False)])
    else:
        backend.pre_tokenizer = Sequence([Metaspace(prepend_scheme="never"), digits])
        alphabet = [*string.printable.strip(), "▁"]
    trainer = BpeTrainer(special_tokens=special, show_progress=False, initial_alphabet=alphabet, vocab_size=20_000)
    words = [word for word in _words() if every_word or hashlib.sha256(word.encode()).digest()[0] % 8]
    backend.train_from_iterator([f" {word}" for word in words for _ in range(3)], trainer)
    if kind.endswith("BOS"):
        backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


@cache
def _words() -> tuple[str, ...]:
    """The words that fill the slots of the tasks' prompts and edge cases, and those around them in some prompts."""
    rng, seen = np.random.default_rng(0), dict[str, None]()
    for task in map(tasks.get, TEXT):
        for source in (task.prompts, *(variation.prompts for variation in task.variations)):
            assert isinstance(source, TemplatePrompts)
            assert source.slots is not None
            drawn = [source.draw(rng) for _ in range(20)]
            texts = [text for pair in drawn for text in (pair.clean, pair.corrupt, *pair.answers[:1])]
            texts += [word for words in source.slots.choices.values() for word in words]
            seen |= dict.fromkeys(re.findall(r"\w+|[^\w\s]+", " ".join(texts)))
    return tuple(seen)
