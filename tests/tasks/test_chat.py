"""Prompts in a chat model's own template are just what the tokenizer itself makes of the conversation."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from transformers import PreTrainedTokenizerFast

from acdc.tasks.chat import in_chat
from acdc.tasks.errors import BadPrompts
from acdc.tasks.pairs import ChatTemplate, Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.task import About, Task
from acdc.tasks.tokenisation import tokenise
from tests.tasks.chat_tokenizer import PLAIN, STARTED, TRIMMED, chatting
from tests.tasks.toy_tokenizer import ToyTokenizer

CHAT = ChatTemplate("mine.yaml:7")
TEXT = TextPair("a b", "a c", ("d",), ("e",), wording=Wording(chat=CHAT))


def conversation(tokenizer: PreTrainedTokenizerFast, said: str) -> Sequence[int]:
    made = tokenizer.apply_chat_template([{"role": "user", "content": said}], add_generation_prompt=True)
    ids: Sequence[int] = made["input_ids"]
    return ids


@pytest.mark.parametrize(("template", "bos"), [(PLAIN, False), (STARTED, False), (STARTED, True), (TRIMMED, True)])
def test_a_prompt_is_the_conversation_in_which_a_user_says_it(template: str, bos: bool) -> None:
    tokenizer = chatting(template, bos=bos)
    pair, problems = tokenise(TEXT, tokenizer)
    assert not problems
    assert pair is not None
    assert list(pair.clean) == list(conversation(tokenizer, "a b"))
    assert list(pair.corrupt) == list(conversation(tokenizer, "a c"))
    assert tokenizer.convert_ids_to_tokens([pair.clean[pair.position], *pair.answers]) == ["<model>", "d"]
    assert tokenise(pair.text, tokenizer)[0] == pair, "what is told is what is measured"


@pytest.mark.parametrize(("position", "token"), [(0, "a"), (1, "▁b"), (2, "<end>"), (-1, "<model>"), (-3, "▁b")])
def test_positions_count_from_what_the_user_says_and_from_the_end(position: int, token: str) -> None:
    tokenizer = chatting(STARTED, bos=True)
    pair, _ = tokenise(TextPair("a b", "a c", ("d",), ("e",), Scoring(position), wording=Wording(chat=CHAT)), tokenizer)
    assert pair is not None
    assert tokenizer.convert_ids_to_tokens(pair.clean[pair.position]) == token


def test_slots_are_filled_in_the_template() -> None:
    def write(words: dict[str, str]) -> TextPair:
        return TextPair(
            f"a {words['x']}", "a a", ("d",), ("e",), wording=Wording(filling=tuple(words.items()), chat=CHAT)
        )

    slots = Slots({"x": ("b", "c", "d", "e")}, write)
    tokenizer = chatting(PLAIN, bos=False)
    task = Task("mine", About("Says."), "a-model", "kl", TemplatePrompts.of(slots))
    for pair in task.build(tokenizer, 2, 0).discovery.pairs:
        other = slots.rewrite(pair.text, "x", "c" if dict(pair.text.wording.filling)["x"] == "b" else "b")
        assert other is not None
        changed, _ = tokenise(other, tokenizer)
        assert changed is not None
        assert len(changed.clean) == len(pair.clean)
        assert pair.text.clean.startswith("<user>a ")


def refused(tokenizer: ToyTokenizer | PreTrainedTokenizerFast) -> str:
    with pytest.raises(BadPrompts) as caught:
        tokenise(TEXT, tokenizer)
    [problem] = caught.value.problems
    return str(problem)


def test_a_tokenizer_without_a_template_is_refused_with_where_it_is_asked_for() -> None:
    wanted = (
        "mine.yaml:7: the tokenizer has no chat template: got a tokenizer without one, wanted one of a chat model; "
        "leave out `template`, or use a chat model (--model)."
    )
    assert refused(ToyTokenizer()) == wanted
    assert refused(chatting("", bos=True)) == wanted


def test_a_template_that_fails_is_refused_in_its_own_words() -> None:
    broken = chatting("{{ raise_exception('system first') }}", bos=False)
    assert "the chat template cannot be used: got TemplateError (system first)" in refused(broken)


def test_a_template_that_changes_a_prompt_is_refused() -> None:
    assert "the chat template changes a prompt" in refused(
        chatting(PLAIN.replace("m.content", "m.content | upper"), bos=False)
    )


def test_a_template_to_which_the_tokenizer_adds_special_tokens_is_refused() -> None:
    assert refused(chatting(PLAIN, bos=True)) == (
        "mine.yaml:7: this tokenizer adds special tokens to its chat template: got ['<s>', '<user>', 'a'] for "
        "['<user>', 'a', '▁b'], wanted the tokens of the chat template; write the template into the prompts yourself."
    )


def test_a_pair_that_is_in_its_template_is_left_as_it_is() -> None:
    tokenizer = chatting(PLAIN, bos=False)
    once = in_chat(TEXT, tokenizer)
    assert in_chat(once, tokenizer) is once
    assert once.wording.chat == ChatTemplate("mine.yaml:7", applied=True)
