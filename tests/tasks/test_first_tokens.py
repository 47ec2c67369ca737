"""Answers of several tokens are measured by one: their first, or the first at which answers and distractors differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc.tasks.pairs import Scoring, TextPair
from acdc.tasks.tokenisation import TokenPair, tokenise
from tests.tasks.toy_tokenizer import ToyTokenizer

TOY = ToyTokenizer(("=", " =", " ", *"0123456789", "a"), pieces=True)
SUM = TextPair("8 6 =", "9 8 =", (" 14",), (" 17",), scoring=Scoring(answers_as="first-difference"))


def measured(text: TextPair, toy: ToyTokenizer = TOY) -> TokenPair:
    pair, problems = tokenise(text, toy)
    assert not problems
    assert pair is not None
    return pair


def test_what_answers_and_distractors_begin_with_is_put_at_the_end_of_both_prompts() -> None:
    pair = measured(SUM)
    assert TOY.convert_ids_to_tokens(list(pair.clean)) == ["8", " ", "6", " =", " ", "1"]
    assert TOY.convert_ids_to_tokens(list(pair.corrupt)) == ["9", " ", "8", " =", " ", "1"]
    assert TOY.convert_ids_to_tokens([*pair.answers, *pair.distractors]) == ["4", "7"]
    assert pair.position == 5
    assert (pair.text.clean, pair.text.answers, pair.text.scoring.answers_as) == ("8 6 = 1", ("4",), "one-token")


def test_what_is_told_is_what_is_measured() -> None:
    years = TextPair(
        "19 to",
        "01 to",
        tuple(f" {year}" for year in range(20, 100)),
        (" 18", " 19"),
        scoring=Scoring(answers_as="first-difference"),
    )
    for text in (SUM, replace(SUM, distractors=(" 7",)), years):
        pair = measured(text)
        assert measured(pair.text) == pair


def test_words_that_go_on_after_their_difference_are_measured_by_their_first_token_there() -> None:
    pair = measured(replace(SUM, distractors=(" 7", " 78", " 9")))
    assert (pair.text.clean, pair.text.answers, pair.text.distractors) == ("8 6 = ", ("1",), ("7", "9"))
    assert pair.text.scoring.answers_as == "first-token"


@pytest.mark.parametrize("distractors", [(" 1",), (" 18", " 9"), (" 9", " 18")])
def test_an_answer_and_a_distractor_that_go_on_alike_are_refused(distractors: tuple[str, ...]) -> None:
    _, problems = tokenise(replace(SUM, distractors=distractors), TOY)
    assert [(problem.what, problem.got) for problem in problems] == [
        ("an answer is a distractor too", "['1'] in both as first token")
    ]


def test_words_of_one_token_are_left_as_they_are() -> None:
    toy = ToyTokenizer((*TOY.words, " 14", " 17"))
    given = replace(SUM, scoring=Scoring())
    assert measured(SUM, toy) == measured(given, toy)
    assert measured(SUM, toy).text == given


def test_a_prompt_that_is_not_scored_at_its_end_is_left_as_it_is() -> None:
    text = replace(SUM, scoring=replace(SUM.scoring, position=0), answers=("14",), distractors=("27",))
    assert [problem.what for problem in tokenise(text, TOY)[1]] == []
    assert measured(text).text.clean == SUM.clean
    _, problems = tokenise(replace(text, distractors=("17",)), TOY)
    assert [problem.what for problem in problems] == ["an answer is a distractor too"]


def test_words_without_a_common_token_are_measured_where_they_begin() -> None:
    toy = ToyTokenizer((*TOY.words, " 1"), pieces=True)
    pair = measured(replace(SUM, distractors=(" 27",)), toy)
    assert (pair.text.clean, pair.text.answers, pair.text.distractors) == ("8 6 =", (" 1",), (" ",))


def test_an_answer_that_changes_the_prompt_is_refused_as_ever() -> None:
    toy = ToyTokenizer((*TOY.words, "=14"), pieces=True)
    _, problems = tokenise(replace(SUM, clean="8=", corrupt="9=", answers=("14",), distractors=("17",)), toy)
    assert problems[0].what == "the answer changes the tokens of the prompt before it"
