"""Prompts that are given as token ids, for models without a tokenizer."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np

from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.pairs import ScoredPosition, TextPair, Tokenizer
from acdc.tasks.prompts import AbstractPromptSource, ListedPrompts, PromptPairs
from acdc.tasks.token_ids import write
from acdc.tasks.tokenisation import tokenise

Ids: TypeAlias = "int | Sequence[int]"


@final
@dataclass(frozen=True)
class TokenPrompts(AbstractPromptSource):
    """Prompts as token ids: for models without a tokenizer, and for tokens that no text gives.

    Item i of each list is prompt i. `clean[i]` and `corrupt[i]` are ids, as many in both, special tokens included.
    `answers[i]` and `distractors[i]` are an id or several; the next token is predicted at `positions[i]`, where -1 is
    the last. A prompt may be scored at several positions: then `positions[i]` is a list, and `answers[i]` and
    `distractors[i]` hold, for each of these, an id or a list of ids. What is measured of it is the mean over them.

    With `whole`, answers and distractors follow the ends of the prompts and are measured by all of their tokens:
    `answers[i]` and `distractors[i]` are the ids of one, or a list of the ids of each of several.

        TokenPrompts(clean=[[1, 7, 4], [1, 8, 4]], corrupt=[[1, 9, 4], [1, 9, 4]], answers=[7, 8], distractors=[9, 9])

    Raises: BadPrompts with everything that is wrong with any of them.
    """

    clean: Sequence[Sequence[int]]
    corrupt: Sequence[Sequence[int]]
    answers: Sequence[Ids | Sequence[Ids]]
    distractors: Sequence[Ids | Sequence[Ids]]
    positions: Sequence[Ids] | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        problems = [
            replace(problem, place=place)
            for text, place in zip(self._listed.texts, self._listed.places, strict=True)
            for problem in tokenise(text, None)[1]
        ]
        if problems:
            raise BadPrompts(*problems)

    def pairs(self, tokenizer: Tokenizer | None, count: int, rng: np.random.Generator) -> PromptPairs:
        """Return at most `count` of the prompts, whatever the tokenizer; raise where two have the same clean tokens."""
        return self._listed.pairs(None, count, rng)

    @cached_property
    def _listed(self) -> ListedPrompts:
        positions = self.positions if self.positions is not None else [-1] * len(self.clean)
        columns = {"clean": self.clean, "corrupt": self.corrupt, "answers": self.answers}
        columns |= {"distractors": self.distractors, "positions": positions}
        if len(set(map(len, columns.values()))) > 1:
            got = ", ".join(f"{len(column)} {name}" for name, column in columns.items())
            raise BadPrompts(
                PromptProblem("these lists do not align", got, "as many of each", "give every prompt all of it")
            )
        places = tuple(f"prompt {number}" for number in range(len(self.clean)))
        texts = []
        for place, row in zip(places, zip(*columns.values(), strict=True), strict=True):
            try:
                texts.append(_of_whole(*row) if self.whole else _of_ids(*row))
            except (TypeError, ValueError) as error:
                wanted, remedy = "ids and positions as whole numbers", "see the docstring of TokenPrompts"
                what = "a prompt cannot be read as token ids"
                raise BadPrompts(PromptProblem(what, f"the complaint {str(error)!r}", wanted, remedy, place)) from error
        return ListedPrompts(tuple(texts), places)


def _of_ids(clean: Any, corrupt: Any, answers: Any, distractors: Any, positions: Any) -> TextPair:
    """A prompt as text; TypeError or ValueError where something is no whole number or is not there."""
    if not isinstance(positions, Sequence):
        answers, distractors, positions = [answers], [distractors], [positions]
    length = len(clean)
    scored = [
        ScoredPosition(at + length if -length <= (at := operator.index(position)) < 0 else at, _ids(right), _ids(wrong))
        for position, right, wrong in zip(positions, answers, distractors, strict=True)
    ]
    if len({one.position for one in scored}) < len(scored) or not scored:
        raise ValueError(f"scored positions {list(positions)} are none or not each once")
    return write(_ids(clean), _ids(corrupt), scored)


def _of_whole(clean: Any, corrupt: Any, answers: Any, distractors: Any, position: Any) -> TextPair:
    """The same where answers and distractors are measured whole."""
    at = operator.index(position)

    def words(given: Any) -> tuple[str, ...]:
        several = given if isinstance(given, Sequence) and given and isinstance(given[0], Sequence) else [given]
        return tuple(" ".join(map(str, _ids(one))) for one in several)

    text = write(_ids(clean), _ids(corrupt), [ScoredPosition(at, (0,), (0,))])
    return replace(
        text, answers=words(answers), distractors=words(distractors), scoring=replace(text.scoring, answers_as="whole")
    )


def _ids(given: Any) -> tuple[int, ...]:
    ids = tuple(map(operator.index, given)) if isinstance(given, Sequence) else (operator.index(given),)
    if not ids or min(ids) < 0:
        raise ValueError(f"{list(ids)} are no token ids")
    return ids
