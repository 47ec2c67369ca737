"""Text pairs become the tokens they should, and every reason why they cannot is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from acdc.tasks.errors import BadPrompts
from acdc.tasks.pairs import Scoring, TextPair
from acdc.tasks.tokenisation import TokenPair, tokenise
from tests.tasks.toy_tokenizer import BOS, ToyTokenizer

WORDS = ("a", " a", " b", " c", " red", "re", "x")
GOOD = TextPair("a b", "a c", (" red",), (" b",))


def tokens(text: TextPair, tokenizer: ToyTokenizer) -> TokenPair:
    pair, problems = tokenise(text, tokenizer)
    assert not problems
    assert pair is not None
    return pair


def whats(text: TextPair, tokenizer: ToyTokenizer | None = None) -> list[str]:
    pair, problems = tokenise(text, tokenizer or ToyTokenizer(WORDS))
    assert pair is None
    return [problem.what for problem in problems]


def test_a_good_pair_is_its_tokens() -> None:
    toy = ToyTokenizer(WORDS)
    pair = tokens(GOOD, toy)
    assert toy.convert_ids_to_tokens([*pair.clean]) == ["a", " b"]
    assert toy.convert_ids_to_tokens([*pair.corrupt]) == ["a", " c"]
    assert toy.convert_ids_to_tokens([*pair.answers, *pair.distractors]) == [" red", " b"]
    assert pair.position == 1


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("eos", [False, True])
def test_the_start_token_comes_once_and_the_end_token_never(bos: bool, eos: bool) -> None:
    plain, special = tokens(GOOD, ToyTokenizer(WORDS)), tokens(GOOD, ToyTokenizer(WORDS, bos=bos, eos=eos))
    start = (BOS,) if bos else ()
    assert special.clean == start + plain.clean
    assert special.corrupt == start + plain.corrupt
    assert special.position == plain.position + bos
    assert (special.answers, special.distractors) == (plain.answers, plain.distractors)


@pytest.mark.parametrize(("position", "place"), [(-1, 2), (-2, 1), (0, 1), (1, 2)])
def test_a_position_counts_the_prompts_own_tokens(position: int, place: int) -> None:
    text = TextPair("a b", "a c", (" red",), (" b",), scoring=Scoring(position))
    assert tokens(text, ToyTokenizer(WORDS, bos=True)).position == place


@pytest.mark.parametrize("position", [-3, 2])
def test_a_position_outside_the_prompt_is_refused(position: int) -> None:
    text = TextPair("a b", "a c", (" red",), (" b",), scoring=Scoring(position))
    for toy in (ToyTokenizer(WORDS), ToyTokenizer(WORDS, bos=True, eos=True)):
        assert whats(text, toy) == ["the scored position is outside the prompt"]


def test_prompts_of_different_length_are_refused() -> None:
    assert whats(TextPair("a b", "a b c", (" red",), (" a",))) == ["clean and corrupt prompt differ in length"]


def test_identical_prompts_are_refused() -> None:
    assert whats(TextPair("a b", "a b", (" red",), (" a",))) == ["clean and corrupt prompt are identical"]


def test_an_empty_prompt_is_refused() -> None:
    assert "the scored position is outside the prompt" in whats(TextPair("", "a", (" red",), (" a",)))


def test_an_answer_of_several_tokens_is_refused_with_its_tokens() -> None:
    _, (problem,) = tokenise(TextPair("a b", "a c", (" hi",), (" a",)), ToyTokenizer(WORDS))
    assert str(problem) == (
        "the answer is not one token: got ' hi' -> [' ', 'h', 'i'], wanted one token of its own after the clean "
        "prompt; use a word that this tokenizer writes as one token, or measure first tokens (answers: first-token), "
        "the first that differ (answers: first-difference) or whole answers (answers: whole)."
    )


def test_a_distractor_which_adds_no_token_is_refused() -> None:
    assert whats(TextPair("a b", "a c", (" red",), ("\n",))) == ["the distractor is not one token"]


def test_an_answer_that_merges_with_the_prompt_is_refused() -> None:
    toy = ToyTokenizer((*WORDS, " x", " xa"))
    assert whats(TextPair("a b x", "a c x", (" red",), ("a",)), toy) == [
        "the distractor changes the tokens of the prompt before it"
    ]


def test_the_same_token_as_answer_and_distractor_is_refused() -> None:
    assert whats(TextPair("a b", "a c", (" red", " a"), (" b", " a"))) == ["an answer is a distractor too"]


def test_an_answer_given_twice_is_refused() -> None:
    assert whats(TextPair("a b", "a c", (" red", " red"), (" b",))) == ["the answer is given twice"]


def test_unknown_words_are_refused_where_the_vocabulary_is_closed() -> None:
    toy = ToyTokenizer(WORDS, closed=True)
    assert whats(TextPair("a zebra", "a b", (" lion",), (" c",)), toy) == [
        "the clean prompt has a word that the tokenizer does not know",
        "the answer is a word that the tokenizer does not know",
    ]


def test_an_unknown_token_that_is_spelled_out_is_meant() -> None:
    toy = ToyTokenizer(WORDS, closed=True)
    assert tokens(TextPair("<unk> b", "<unk> c", (" red",), (" b",)), toy).clean[0] == toy.unk_token_id


def test_a_start_token_spelled_out_is_refused_only_where_the_tokenizer_adds_it() -> None:
    text = TextPair("<bos>a b", "<bos>a c", (" red",), (" b",))
    assert tokens(text, ToyTokenizer(WORDS)).clean[0] == BOS
    assert whats(text, ToyTokenizer(WORDS, bos=True)) == [
        "the clean prompt starts with a special token twice",
        "the corrupt prompt starts with a special token twice",
    ]


def test_every_problem_of_a_pair_is_told_at_once() -> None:
    assert whats(TextPair("a b", "a b c", (" hi",), (" hm",), scoring=Scoring(5))) == [
        "clean and corrupt prompt differ in length",
        "the scored position is outside the prompt",
        "the answer is not one token",
        "the distractor is not one token",
    ]


def test_a_tokenizer_that_writes_texts_in_two_ways_is_refused() -> None:
    class Fickle(ToyTokenizer):
        def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
            own = super().encode(text, add_special_tokens=False)
            return own[::-1] if add_special_tokens else own

    with pytest.raises(BadPrompts, match="this tokenizer writes a text differently with and without special tokens"):
        tokenise(GOOD, Fickle(WORDS))


@pytest.mark.parametrize("template", ["$A", "<s> $A", "<s> $A </s>", "$A </s>"])
def test_a_byte_pair_tokenizer_of_hugging_face_fits(template: str) -> None:
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    backend.train_from_iterator(
        ["When Mary and John met , Mary left"] * 9,
        BpeTrainer(special_tokens=["<s>", "</s>"], show_progress=False, initial_alphabet=ByteLevel.alphabet()),
    )
    backend.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")

    text = TextPair("When Mary and John met, Mary left", "When Mary and John met, John left", (" John",), (" Mary",))
    pair, problems = tokenise(text, tokenizer)
    assert not problems
    assert pair is not None
    start = ["<s>"] if "<s>" in template else []
    expected = [*start, "When", "ĠMary", "Ġand", "ĠJohn", "Ġmet", ",", "ĠMary", "Ġleft"]
    assert tokenizer.convert_ids_to_tokens(list(pair.clean)) == expected
    assert tokenizer.convert_ids_to_tokens([*pair.answers, *pair.distractors]) == ["ĠJohn", "ĠMary"]
    assert pair.position == len(expected) - 1

    _, problems = tokenise(TextPair(text.clean, text.corrupt, ("John",), (" Bob",)), tokenizer)
    assert [problem.what for problem in problems] == ["the answer is not one token", "the distractor is not one token"]
    assert [problem.remedy.startswith("start it with a space") for problem in problems] == [True, False]


@pytest.mark.parametrize("words", [(), ("",), " red", [" red"]])
def test_answers_are_a_tuple_of_texts(words: object) -> None:
    with pytest.raises(BadPrompts, match="the answers of a prompt cannot be read"):
        TextPair.__post_init__(_unchecked(answers=words))


def _unchecked(answers: object) -> TextPair:
    """A pair whose construction was not checked, as from a caller without type checks."""
    pair = object.__new__(TextPair)
    for name, value in {"clean": "a", "corrupt": "b", "answers": answers, "distractors": (" b",)}.items():
        object.__setattr__(pair, name, value)
    return pair


def test_a_prompt_that_holds_half_of_a_character_is_refused() -> None:
    with pytest.raises(BadPrompts, match=r"half of a character .* got '\\ud83d'"):
        TextPair("smile \ud83d", "b", (" c",), (" d",))


FIRST = TextPair("a b", "a c", (" redx",), (" b c", " a"), scoring=Scoring(answers_as="first-token"))


def test_words_of_several_tokens_are_measured_by_their_first() -> None:
    toy = ToyTokenizer((*WORDS, "x", " c"), pieces=True)
    pair = tokens(FIRST, toy)
    assert toy.convert_ids_to_tokens(list(pair.answers)) == [" red"]
    assert toy.convert_ids_to_tokens(list(pair.distractors)) == [" b", " a"]
    assert (pair.text.answers, pair.text.distractors) == ((" red",), (" b", " a"))
    assert tokens(pair.text, toy) == pair, "what is told is what is measured"


def test_words_that_share_their_first_token_are_refused() -> None:
    toy = ToyTokenizer((*WORDS, "x"), pieces=True)
    _, problems = tokenise(replace(FIRST, distractors=(" red a",)), toy)
    assert [(problem.what, problem.got) for problem in problems] == [
        ("an answer is a distractor too", "[' red'] in both as first token")
    ]
    _, problems = tokenise(replace(FIRST, answers=(" redx", " red a")), toy)
    assert [problem.what for problem in problems] == ["the answer is given twice"]
