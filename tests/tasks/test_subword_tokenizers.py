"""The tasks of ordinary text can be told to tokenizers of all usual kinds, or it is said which words cannot."""

from __future__ import annotations

import numpy as np
import pytest

from acdc import tasks
from acdc.tasks.errors import BadPrompts
from acdc.tasks.prompts import PromptPairs
from tests.tasks.subword_tokenizers import KINDS, TEXT, subword_tokenizer

FEW = 16
"""How many prompts are drawn: enough that words of several tokens come up in most of the slots."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEXT)
def test_every_kind_of_tokenizer_writes_pairs_of_equal_length_and_answers_of_one_token(name: str, kind: str) -> None:
    pairs = tasks.get(name).prompts.pairs(subword_tokenizer(kind), FEW, np.random.default_rng(0))
    assert len(pairs) == FEW
    _check(pairs, kind)


@pytest.mark.parametrize("name", TEXT)
def test_every_edge_case_does_too_or_it_is_said_which_words_do_not(name: str) -> None:
    kind = KINDS[-1]
    for variation in tasks.get(name).variations:
        try:
            pairs = variation.prompts.pairs(subword_tokenizer(kind), 4, np.random.default_rng(0))
        except BadPrompts as error:
            (problem,) = error.problems
            assert "because of '" in problem.got or "as first token" in problem.got, (variation.name, str(problem))
        else:
            _check(pairs, kind)


def _check(pairs: PromptPairs, kind: str) -> None:
    tokenizer = subword_tokenizer(kind)
    for pair in pairs.pairs:
        assert len(pair.clean) == len(pair.corrupt)
        assert pair.clean != pair.corrupt
        assert pair.position == len(pair.clean) - 1
        assert (pair.clean[0] == tokenizer.bos_token_id) == kind.endswith("BOS")
        assert pair.clean.count(tokenizer.bos_token_id) == int(kind.endswith("BOS"))
        for words, ids in ((pair.text.answers, pair.answers), (pair.text.distractors, pair.distractors)):
            for word, token in zip(words, ids, strict=True):
                assert tokenizer.encode(pair.text.clean + word) == [*pair.clean, token]
