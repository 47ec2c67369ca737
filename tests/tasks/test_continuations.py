"""What every token of a whole answer adds to its prompt's metric, by hand."""

from __future__ import annotations

import pytest
import torch

from acdc.tasks.batches import PromptBatch
from acdc.tasks.errors import BadPrompts, TaskError
from acdc.tasks.metrics import KLDivergence, LogitDifference, metric
from acdc.tasks.pairs import TextPair
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.whole import of_whole

TEXT = TextPair("a", "b", (" c",), (" d",))


def batch() -> PromptBatch:
    """Two prompts: answers of 2 and of 1 tokens and a distractor of 1; an answer of 3 and distractors of 1 and 2."""
    one = of_whole(TEXT, (5, 6), (5, 7), [(1, 2), (3,)], [(4,)])
    two = of_whole(TEXT, (5, 8), (5, 7), [(1, 1, 1)], [(2,), (3, 4)])
    [both] = PromptPairs((one, two)).batches(padded=True)
    return both


def measured(name: str, values: torch.Tensor) -> list[float]:
    """What the rows' own values make of the two prompts."""
    met = batch().continuations
    way = metric(name).whole
    assert met is not None
    assert way is not None
    found: list[float] = batch().added_up(met.weighted(values, way)).tolist()
    return found


def test_a_row_is_a_token_after_the_prompt_and_the_tokens_before_it() -> None:
    rows = batch()
    assert rows.index.tolist() == [0] * 4 + [1] * 6
    assert rows.scored_positions.tolist() == [1, 2, 1, 1, 1, 2, 3, 1, 1, 2]
    ends = [row[: end + 1] for row, end in zip(rows.clean.tolist(), rows.scored_positions.tolist(), strict=True)]
    assert ends[:4] == [[5, 6], [5, 6, 1], [5, 6], [5, 6]]
    assert ends[4:] == [[5, 8], [5, 8, 1], [5, 8, 1, 1], [5, 8], [5, 8], [5, 8, 3]]
    assert rows.corrupt[1].tolist()[:3] == [5, 7, 1]
    assert rows.answers.squeeze(1).tolist() == [1, 2, 3, -1, 1, 1, 1, -1, -1, -1]
    assert rows.distractors.squeeze(1).tolist() == [-1, -1, -1, 4, -1, -1, -1, 2, 3, 4]


def test_each_metric_makes_its_own_of_the_tokens() -> None:
    values = torch.tensor([1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512], dtype=torch.float64)
    assert measured("nll", values) == [(1 + 2 + 4) / 2, 16 + 32 + 64]
    assert measured("kl", values) == pytest.approx([(1.5 + 4) / 2, (16 + 32 + 64) / 3])
    signed = values * torch.tensor([1.0, 1, 1, -1, 1, 1, 1, -1, -1, -1], dtype=torch.float64)
    assert measured("log_probability_difference", signed) == [3.5 - 8, 112 - (128 + 256 + 512) / 2]


def test_an_answer_is_right_where_all_its_tokens_are() -> None:
    for right, wanted in (
        ([1, 1, 0, 0, 1, 1, 1, 0, 0, 0], [1, 1]),
        ([0, 1, 1, 1, 1, 0, 1, 1, 1, 1], [1, 0]),
        ([1, 0, 0, 1, 0, 1, 1, 1, 1, 1], [0, 0]),
    ):
        assert measured("accuracy", torch.tensor(right, dtype=torch.float64)) == pytest.approx(wanted)


def test_what_is_infinite_at_a_distractor_does_not_count() -> None:
    values = torch.tensor([1.0, 2, 4, torch.inf, 16, 32, 64, torch.nan, 0, 0], dtype=torch.float64)
    assert measured("nll", values) == [3.5, 112]


def test_what_is_measured_otherwise_is_refused() -> None:
    logits = torch.zeros(10, 9)
    targets = batch().targets(logits)
    assert KLDivergence()(logits, targets).tolist() == [0] * 10
    with pytest.raises(BadPrompts) as caught:
        LogitDifference()(logits, targets)
    assert str(caught.value) == (
        "whole answers cannot be measured by this metric: got logit_difference, wanted log_probability_difference, kl, "
        "nll or accuracy; choose one of these (--metric)."
    )
    with pytest.raises(TaskError, match="of answers of one token logit_difference is the same number"):
        metric("log_prob_diff").require(whole=False)


def test_every_prompt_is_there_once_with_each_of_its_answers_but_the_last_token() -> None:
    pairs = PromptPairs((of_whole(TEXT, (5, 6), (5, 7), [(1, 2), (3,)], [(4, 8, 9)]),))
    assert [pair.corrupt for pair in pairs.once().pairs] == [(5, 7, 1), (5, 7), (5, 7, 4, 8)]
    assert [len(part) for part in pairs.once().batches()] == [1, 1, 1]
