"""The tokenizer of a built-in task's default model, without its weights where these take long to make."""

from __future__ import annotations

from acdc import tasks
from acdc.ground_truth.compiler import BOS, NUMBER, PAD, tokenizer_of
from acdc.tasks.tokenisation import Tokenizer
from tests.tasks.default_models import comes_with_the_package
from tests.tasks.subword_tokenizers import subword_tokenizer


def tokenizer_for(task: tasks.Task) -> Tokenizer:
    """The tokenizer; for a model that must be got first, a byte-pair one that has every word of the tasks."""
    from transformers import AutoTokenizer

    if task.model.startswith("tracr:"):
        return tokenizer_of([BOS, PAD, *"abcdwxyz", NUMBER])  # the words of both models
    if task.model.startswith("planted"):
        from acdc.ground_truth import planted

        planted_tokenizer: Tokenizer = planted.named(task.model).model.tokenizer
        return planted_tokenizer
    if not comes_with_the_package(task.model):
        return subword_tokenizer("byte-pair", every_word=True)
    tokenizer: Tokenizer = AutoTokenizer.from_pretrained(tasks.shipped_model(task.model))
    return tokenizer
