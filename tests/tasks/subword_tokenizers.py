"""Tokenizers of the two usual kinds, trained in a moment on the words of the built-in tasks but for one in eight."""

from __future__ import annotations

import hashlib
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
def subword_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a kind."""
    special = ["<s>", "<unk>"]
    backend, digits, alphabet = Tokenizer(BPE()), Digits(individual_digits=True), ByteLevel.alphabet()
    if kind.startswith("byte-pair"):
        backend.pre_tokenizer = Sequence([digits, ByteLevel(add_prefix_space=False)])
    else:
        backend.pre_tokenizer = Sequence([Metaspace(prepend_scheme="never"), digits])
        alphabet = [*string.printable.strip(), "▁"]
    trainer = BpeTrainer(special_tokens=special, show_progress=False, initial_alphabet=alphabet, vocab_size=4_000)
    backend.train_from_iterator([f" {word}" for word in _words() for _ in range(20)], trainer)
    if kind.endswith("BOS"):
        backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


@cache
def _words() -> tuple[str, ...]:
    """The words of some prompts of every task, but for those that a hash holds back."""
    rng, seen = np.random.default_rng(0), dict[str, None]()
    for name in TEXT:
        prompts = tasks.get(name).prompts
        assert isinstance(prompts, TemplatePrompts)
        for _ in range(300):
            pair = prompts.draw(rng)
            seen |= dict.fromkeys(" ".join([pair.clean, pair.corrupt, *pair.answers[:1]]).split())
    return tuple(word for word in seen if hashlib.sha256(word.encode()).digest()[0] % 8)
