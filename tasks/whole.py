"""Answers and distractors that are measured whole: rows for their tokens, and what none of them may be to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from acdc.tasks.errors import PromptProblem
from acdc.tasks.pairs import ScoredPosition, TextPair, TokenPair


def of_whole(
    text: TextPair,
    clean: tuple[int, ...],
    corrupt: tuple[int, ...],
    answers: Sequence[tuple[int, ...]],
    distractors: Sequence[tuple[int, ...]],
) -> TokenPair:
    """The pair in tokens whose whole answers and distractors are these."""
    end = len(clean) - 1
    rows = [ScoredPosition(end + at, (token,), (), ids[:at]) for ids in answers for at, token in enumerate(ids)]
    rows += [ScoredPosition(end + at, (), (token,), ids[:at]) for ids in distractors for at, token in enumerate(ids)]
    return TokenPair(clean, corrupt, tuple(rows), text)


def overlaps(
    answers: Sequence[tuple[int, ...]],
    distractors: Sequence[tuple[int, ...]],
    shown: Callable[[list[int]], str] = str,
    kind: str = "",
) -> list[PromptProblem]:
    """A problem where an answer is a distractor too, or one of them begins another one; `told` is added to the first.

    Whatever says the longer one says the shorter one, so that they are no alternatives.
    """
    if both := sorted(set(answers) & set(distractors)):
        got = f"{shown([token for word in both for token in word])} in both{kind}"
        wanted, remedy = "answers that differ from the distractors", "remove it from one of the two"
        return [PromptProblem("an answer is a distractor too", got, wanted, remedy)]
    words = sorted({*answers, *distractors})
    for one, two in pairwise(words):  # what begins another stands right before one that it begins
        if two[: len(one)] == one:
            got = f"{shown(list(one))} and {shown(list(two))}"
            wanted, remedy = "answers and distractors of which none begins another", "remove one of the two"
            return [PromptProblem("a whole answer or distractor begins another one", got, wanted, remedy)]
    return []
