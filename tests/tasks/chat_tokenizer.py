"""A tokenizer of a chat model, of a few letters, with a template of its own."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Metaspace, Sequence, Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

PLAIN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<model>{% endif %}"
)
STARTED = "{{ bos_token }}" + PLAIN
TRIMMED = STARTED.replace("m.content", "m.content | trim")


def chatting(template: str, *, bos: bool) -> PreTrainedTokenizerFast:
    """A tokenizer with this chat template, which puts a BOS token before texts or does not."""
    special = ["<s>", "<user>", "<end>", "<model>", "<unk>"]
    words = [*special, *"abcde", *(f"▁{letter}" for letter in "abcde"), "▁"]
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = Sequence([Metaspace(prepend_scheme="never"), Split("▁", "merged_with_next")])
    if bos:
        backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", unk_token="<unk>", additional_special_tokens=special[1:4]
    )
    tokenizer.chat_template = template
    return tokenizer
