"""Whole answers: what the rows of a batch are where every token of an answer or a distractor is a row of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import assert_never

Way: TypeAlias = Literal["difference", "sum", "mean", "every"]
"""How the values of tokens make that of their prompt.

difference: the sum over each answer and each distractor, in the mean over either; distractors have their sign already
sum: the sum over each answer, in the mean over answers; distractors do not count
mean: the mean over each answer, in the mean over answers; distractors do not count
every: 1 where every token of any answer has the value 1, else 0
"""


@final
@dataclass(frozen=True)
class Continuations:
    """The whole answers and distractors of a batch of prompts, told by the rows that are their tokens.

    `index` numbers them in the batch; `shares` is 1 over how many answers the prompt has, or over how many distractors
    where the row is one's; `is_answer` is whether it is an answer's.
    """

    index: Int[Tensor, " batch"]
    shares: Float[Tensor, " batch"]
    is_answer: Bool[Tensor, " batch"]

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """How many tokens the answer or distractor of each row has."""
        return self.index.bincount()[self.index]

    @property
    def position_shares(self) -> Float[Tensor, " batch"]:
        """What part of its prompt each row is in a mean over the positions of answers: a distractor's none."""
        return self.shares / self.lengths * self.is_answer

    def weighted(self, values: Float[Tensor, "*circuit batch"], way: Way) -> Float[Tensor, "*circuit batch"]:
        """What every row adds to the metric of its prompt, given the metric of the row alone."""
        if way == "difference":
            return values * self.shares.to(values)
        values = values.masked_fill(~self.is_answer, 0)  # whatever they are: 0 times infinity would be NaN
        match way:
            case "sum":
                return values * self.shares.to(values)
            case "mean":
                return values * self.position_shares.to(values)
            case "every":
                count = values.new_zeros(*values.shape[:-1], len(self.index)).index_add_(-1, self.index, values)
                return (count[..., self.index] == self.lengths).to(values) / self.lengths.to(values)
            case _:
                assert_never(way)
