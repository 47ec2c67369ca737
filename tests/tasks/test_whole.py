"""Answers of several tokens that are measured whole: read from texts, token ids and behaviour files, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acdc.tasks.errors import BadBehaviourFile, BadPrompts
from acdc.tasks.files.behaviour_file import load_behaviour_file
from acdc.tasks.pairs import ScoredPosition, Scoring, TextPair
from acdc.tasks.token_prompts import TokenPrompts
from acdc.tasks.tokenisation import tokenise
from tests.tasks.toy_tokenizer import ToyTokenizer

TOY = ToyTokenizer((" b", " c", " d", " e"), bos=True, pieces=True)
TEXT = TextPair("a b", "a c", (" dx", " e"), (" cy",), scoring=Scoring(answers_as="whole"))


def whats(text: TextPair) -> list[str]:
    pair, problems = tokenise(text, TOY)
    assert (pair is None) == bool(problems)
    return [problem.what for problem in problems]


def test_every_token_is_scored_after_those_before_it() -> None:
    pair, _ = tokenise(TEXT, TOY)
    assert pair is not None
    b, c, d, e, x, y = 3, 4, 5, 6, 1000 + ord("x"), 1000 + ord("y")
    assert pair.clean == (0, 1000 + ord("a"), b)
    assert pair.scored == (
        ScoredPosition(2, (d,), ()),
        ScoredPosition(3, (x,), (), (d,)),
        ScoredPosition(2, (e,), ()),
        ScoredPosition(2, (), (c,)),
        ScoredPosition(3, (), (y,), (c,)),
    )
    assert (pair.whole, pair.length, pair.answer_rows) == (True, 4, ((0, 1), (2,)))
    assert tokenise(pair.text, TOY)[0] == pair


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"answers": (" d", " dx")}, "a whole answer or distractor begins another one"),
        ({"distractors": (" dxx",)}, "a whole answer or distractor begins another one"),
        ({"distractors": (" dx",)}, "an answer is a distractor too"),
        ({"answers": (" dx", " dx")}, "the answer is given twice"),
        ({"answers": ("\n",)}, "the answer is not one token"),
        ({"scoring": Scoring(0, "whole")}, "a whole answer can only follow the end of its prompt"),
    ],
)
def test_what_cannot_be_measured_whole_is_refused(changed: dict[str, object], what: str) -> None:
    assert whats(replace(TEXT, **changed)) == [what]  # type: ignore[arg-type]


def test_answers_that_share_their_first_token_only_are_told_apart() -> None:
    assert whats(replace(TEXT, distractors=(" dy",))) == []
    assert whats(replace(TEXT, distractors=(" dy",), scoring=Scoring(answers_as="first-token"))) == [
        "an answer is a distractor too"
    ]


def test_token_ids_are_measured_whole() -> None:
    given = TokenPrompts(
        [[1, 7, 4], [1, 8, 4]], [[1, 9, 4], [1, 9, 4]], [[7, 5], [[8], [3, 2]]], [9, [9, 9]], whole=True
    )
    two, one = sorted(given.pairs(None, 2, np.random.default_rng(0)).pairs, key=lambda pair: len(pair.answer_rows))[
        ::-1
    ]
    assert one.scored == (ScoredPosition(2, (7,), ()), ScoredPosition(3, (5,), (), (7,)), ScoredPosition(2, (), (9,)))
    assert two.answer_rows == ((0,), (1, 2))
    assert [scored.before for scored in two.scored] == [(), (), (3,), (), (9,)]
    assert one.text.answers == ("7 5",)
    for changed, words in (
        ({"answers": [[9, 1], 8]}, "a whole answer or distractor begins another one"),
        ({"positions": [0, -1]}, "a whole answer can only follow the end of its prompt"),
        ({"answers": [[[7], [7]], 8]}, "an answer is given twice"),
        ({"answers": [[], 8]}, "a prompt cannot be read as token ids"),
    ):
        with pytest.raises(BadPrompts, match=f"prompt 0: {words}"):
            replace(given, **changed)  # type: ignore[arg-type]


FILE = """\
name: mine
model: a-model
metric: log_prob_diff
answers: whole
prompts:
  - {clean: a b, corrupt: a c, answer: " dx", distractor: " dy"}
  - {clean: a c, corrupt: a b, answer: " dy", distractor: " dx"}
  - {clean: a d, corrupt: a c, answer: " dx", distractor: [" dyy", " e"]}
  - {clean: a e, corrupt: a c, answer: " cx", distractor: " dx"}
"""


def test_a_behaviour_file_says_whole(tmp_path: Path) -> None:
    (path := tmp_path / "mine.yaml").write_text(FILE)
    task = load_behaviour_file(path)
    assert task.metric == "log_probability_difference"
    assert all(pair.whole for pair in task.build(TOY, 2, 0).discovery.pairs)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("log_prob_diff", "logit_diff", "whole answers cannot be measured by this metric: got logit_difference"),
        ("answers: whole", "answers: first-token", "this metric is of whole answers only: got log_probability_diff"),
    ],
)
def test_a_metric_that_does_not_go_with_the_answers_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    (path := tmp_path / "mine.yaml").write_text(FILE.replace(old, new))
    with pytest.raises(BadBehaviourFile, match=f"mine.yaml:3: {words}"):
        load_behaviour_file(path)
