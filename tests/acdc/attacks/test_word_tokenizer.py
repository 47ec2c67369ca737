"""Writing a text word by word gives the tokenizer's own tokens, or is not done."""

from __future__ import annotations

import acdc
from acdc.attacks.word_tokenizer import WordTokenizer
from acdc.models import load_named
from acdc.settings import Setup
from acdc.tasks.pairs import ChatTemplate, TextPair, Wording
from acdc.tasks.tokenisation import tokenise
from tests.tasks.chat_tokenizer import STARTED, chatting


class Greedy:
    """A tokenizer of pairs of letters, whatever the words; it notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        self.asked.append(text)
        pairs = [text[start : start + 2] for start in range(0, len(text), 2)]
        return [0] * add_special_tokens + [sum(map(ord, pair)) for pair in pairs]

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [str(token) for token in ids]


def test_prompts_of_a_task_are_tokenised_as_by_the_tokenizer() -> None:
    tokenizer = load_named("everyday-4l", Setup()).tokenizer
    for name in ("ioi", "docstring", "greater_than"):
        prompts = acdc.get_task(name).build(tokenizer, 20, 0)
        pieces = WordTokenizer(tokenizer, [prompts.discovery.pairs[0].text.clean])
        assert pieces.by_word
        for pair in prompts.judgement.pairs:
            assert tokenise(pair.text, pieces) == (pair, ())


def test_a_tokenizer_whose_words_depend_on_each_other_writes_every_text_itself_once() -> None:
    tokenizer = Greedy()
    pieces = WordTokenizer(tokenizer, ["one two three"])
    assert not pieces.by_word
    tokenizer.asked.clear()
    for special in (True, False):
        expected = Greedy().encode("a bcd efg", add_special_tokens=special)
        assert pieces.encode("a bcd efg", add_special_tokens=special) == expected
        assert pieces.encode("a bcd efg", add_special_tokens=special) == expected
    assert tokenizer.asked == ["a bcd efg"] * 2


def test_special_tokens_go_around_the_words() -> None:
    pieces = WordTokenizer(Greedy(), ["ab"])
    assert pieces.by_word
    assert pieces.encode(" a b") == [0, *pieces.encode(" a b", add_special_tokens=False)]
    assert pieces.convert_ids_to_tokens([0, 3]) == ["0", "3"]


def test_the_chat_template_is_the_tokenizers_own() -> None:
    tokenizer = chatting(STARTED, bos=True)
    pieces = WordTokenizer(tokenizer, ["a b"])
    text = TextPair("a b", "a c", ("d",), ("e",), wording=Wording(chat=ChatTemplate()))
    assert tokenise(text, pieces) == tokenise(text, tokenizer)
    assert WordTokenizer(Greedy(), ["one"]).chat_template is None
