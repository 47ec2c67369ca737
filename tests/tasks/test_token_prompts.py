"""Prompts as token ids: what they say, that they need no tokenizer, and every reason why they cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acdc import tasks
from acdc.tasks.errors import BadPrompts
from acdc.tasks.pairs import ScoredPosition, TextPair
from acdc.tasks.prompts import ListedPrompts, TemplatePrompts
from acdc.tasks.token_prompts import TokenPrompts
from acdc.tasks.tokenisation import tokenise
from tests.tasks.toy_tokenizer import ToyTokenizer

GOOD: dict[str, Any] = {
    "clean": [[1, 7, 4], [1, 8, 4, 5], [1, 3, 4], [1, 2, 4]],
    "corrupt": [[1, 9, 4], [1, 9, 4, 5], [1, 9, 4], [1, 9, 4]],
    "answers": [7, [8, 6], 3, [2]],
    "distractors": [9, 9, [9], 9],
}


def test_lists_of_ids_are_the_prompts_that_they_say() -> None:
    task = tasks.Task("ids", tasks.About("Ids."), "m", "logit_diff", TokenPrompts(**GOOD))
    drawn = task.build(None, 8, 0)
    pairs = sorted((*drawn.discovery.pairs, *drawn.judgement.pairs), key=lambda pair: pair.clean)
    assert [(pair.clean, pair.corrupt, pair.position) for pair in pairs] == [
        ((1, 2, 4), (1, 9, 4), 2),
        ((1, 3, 4), (1, 9, 4), 2),
        ((1, 7, 4), (1, 9, 4), 2),
        ((1, 8, 4, 5), (1, 9, 4, 5), 3),
    ]
    assert pairs[3].scored == (ScoredPosition(3, (8, 6), (9,)),)


def test_a_prompt_may_be_scored_at_several_positions() -> None:
    given = {**GOOD, "positions": [[0, -1], -1, 1, [1]], "answers": [[5, [7, 6]], 8, 3, [[2]]]}
    given["distractors"] = [[[6, 8], 9], 9, 9, [9]]
    by_clean = {pair.clean: pair for pair in TokenPrompts(**given).pairs(None, 9, np.random.default_rng(0)).pairs}
    assert by_clean[1, 7, 4].scored == (ScoredPosition(0, (5,), (6, 8)), ScoredPosition(2, (7, 6), (9,)))
    assert by_clean[1, 3, 4].scored == (ScoredPosition(1, (3,), (9,)),)
    assert by_clean[1, 2, 4].scored == (ScoredPosition(1, (2,), (9,)),)


@pytest.mark.parametrize("positions", [None, [[0, 1, -1], -1, -1, -1]])
def test_what_they_are_written_as_is_read_back_whatever_the_tokenizer(positions: Any) -> None:
    given = GOOD if positions is None else {**GOOD, "positions": positions, "answers": [[5, 7, 7], 8, 3, 2]}
    given = given if positions is None else {**given, "distractors": [[[6, 8], 9, 9], 9, 9, 9]}
    for pair in TokenPrompts(**given).pairs(ToyTokenizer(), 9, np.random.default_rng(0)).pairs:
        assert tokenise(pair.text, ToyTokenizer(("token",))) == (pair, ())
        assert tokenise(pair.text, None) == (pair, ())


def test_text_without_a_tokenizer_is_refused_in_words() -> None:
    text = TextPair("a b", "a c", (" d",), (" e",))
    for source in (ListedPrompts((text,), ("here",)), TemplatePrompts(lambda rng: text)):
        with pytest.raises(BadPrompts, match=r"needs a tokenizer: got a model that has none, .*`tasks.TokenPrompts`"):
            source.pairs(None, 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"answers": [7]}, "lists do not align: got 4 clean, 4 corrupt, 1 answers, 4 distractors, 4 positions, wanted"),
        ({"clean": [[1, 9, 4], *GOOD["clean"][1:]]}, "prompt 0: clean and corrupt prompt are identical: got "),
        ({"clean": [[1, 4], *GOOD["clean"][1:]]}, "prompt 0: clean and corrupt prompt differ in length: got 2 and 3"),
        ({"positions": [-1, 4, -1, -1]}, "prompt 1: the scored position is outside the prompt: got 4, wanted -4 to 3"),
        ({"positions": [-1, -5, -1, -1]}, "prompt 1: these are no token ids|prompt 1: the scored position is outside"),
        ({"answers": [9, 8, 3, 2]}, r"prompt 0: an answer is given twice or is a distractor too: got \[9\] twice at "),
        ({"answers": [7, 8, 3, []]}, r"prompt 3: a prompt cannot be read as token ids: .* are no token ids"),
        ({"answers": [7, 8, 3, -2]}, r"prompt 3: .*\[-2\] are no token ids"),
        ({"answers": [7, 8, 3.5, 2]}, "prompt 2: .*'float' object cannot be interpreted as an integer"),
        ({"positions": [[0, 0], -1, -1, -1], "answers": [[1, 2], 8, 3, 2], "distractors": [[3, 4], 9, 9, 9]},
         r"prompt 0: .*\[0, 0\] are none or not each once"),
        ({"positions": [[0, 2], -1, -1, -1]}, "prompt 0: a prompt cannot be read as token ids"),
    ],
)  # fmt: skip
def test_ids_that_make_no_prompt_are_refused_with_their_place(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadPrompts, match=sentence):
        TokenPrompts(**{**GOOD, **change})


def test_one_clean_prompt_twice_is_refused() -> None:
    twice = {**GOOD, "clean": [[1, 7, 4], [1, 8, 4, 5], [1, 7, 4], [1, 2, 4]]}
    with pytest.raises(BadPrompts, match="prompt 2: this clean prompt has been given before: got the tokens of prompt"):
        TokenPrompts(**twice).pairs(None, 4, np.random.default_rng(0))


def test_a_text_of_ids_with_anything_else_in_it_is_refused() -> None:
    for clean, answers in (("token ids: 1 x", ("2",)), ("token ids: 1 2", (" two",))):
        pair, [problem] = tokenise(TextPair(clean, "token ids: 1 3", answers, ("4",)), None)
        assert pair is None
        assert problem.what == "these are no token ids"
