"""Answers in a form that the model does not prefer are pointed out, with both probabilities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc.graphs.model import Model
from acdc.judges.answer_form import AnswerForm, answer_form
from acdc.judges.findings import other_form
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.pairs import TextPair
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import tokenise
from tests.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Model:
    """A random model which knows the letter `a` with and without a leading space."""
    return checkpoints.model("gpt2")


def problem(model: Model, answer: str) -> Problem:
    texts = [TextPair(f" the {one}", f" a {one}", (answer,), (" on",)) for one in ("cat", "dog", "mat")]
    pairs = tuple(pair for text in texts if (pair := tokenise(text, model.tokenizer)[0]))
    assert len(pairs) == 3
    return Problem(model, PromptPairs(pairs), LogitDifference())


def by_hand(model: Model, word: str) -> float:
    [token] = model.tokenizer.encode(word)
    found = []
    for one in ("cat", "dog", "mat"):
        ids = torch.tensor([model.tokenizer.encode(f" the {one}")])
        with torch.no_grad():
            found.append(float(model.logits(ids)[0, -1].softmax(-1)[token]))
    return sum(found) / 3


@pytest.mark.parametrize(("given", "other"), [("a", " a"), (" a", "a")])
def test_both_forms_are_measured_on_every_prompt(model: Model, given: str, other: str) -> None:
    found = answer_form(problem(model, given))
    assert found is not None
    assert (found.given, found.other, found.prompts) == (given, other, 3)
    assert found.given_probability == pytest.approx(by_hand(model, given))
    assert found.other_probability == pytest.approx(by_hand(model, other))
    assert found.prefers_other == (by_hand(model, other) > by_hand(model, given))


def test_exactly_one_of_the_two_forms_is_pointed_out(model: Model) -> None:
    told = [other_form(answer_form(problem(model, given))) for given in ("a", " a")]
    assert sorted(map(len, told)) == [0, 1]


def test_an_answer_whose_other_form_is_no_token_has_none(model: Model) -> None:
    assert answer_form(problem(model, " saw")) is None
    assert answer_form(replace(problem(model, "a"), model=replace(model, tokenizer=None))) is None


def test_what_is_pointed_out_says_both_figures() -> None:
    [told] = other_form(AnswerForm(" Paris", "Paris", 0.0213, 0.4, 64))
    assert told == (
        "the model prefers the answers without their leading space: such as 'Paris', it gives them a probability of "
        "40.0% on average over 64 prompts, and 2.1% as they are, such as ' Paris'; write the answers without their "
        "leading space"
    )
    [told] = other_form(AnswerForm("Paris", " Paris", 0.1, 0.4, 64))
    assert "with a leading space: such as ' Paris'" in told
    assert other_form(AnswerForm("Paris", " Paris", 0.4, 0.4, 64)) == other_form(None) == ()
