"""A batch of prompts as tensors that a model can run; `tasks.prompts` decides which prompts go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.tasks.continuations import Continuations
from acdc.tasks.metrics import Targets
from acdc.tasks.pairs import TokenPair


@final
@dataclass(frozen=True)
class AnswerColumns:
    """The vocabulary columns of a prompt's answers and distractors, all that a metric of them looks at.

    `tokens[i, c]` is the token of column c of row i; `answers` and `distractors` are column numbers (-1 pads).
    """

    tokens: Int[Tensor, "batch column"]
    answers: Int[Tensor, "batch answer"]
    distractors: Int[Tensor, "batch distractor"]


@final
@dataclass(frozen=True)
class PromptBatch:
    """Prompt pairs of one length, or padded to one, ready for a model.

    A row is a scored position of a prompt; a prompt that is scored at several has as many rows, one after the other.
    Where answers are measured whole, a row is a token of an answer or a distractor and has the other of these not.
    -1 pads answers and distractors; `scored_positions` are >= 0; `index` is the number of the row's prompt in its
    PromptPairs.
    """

    clean: Int[Tensor, "batch pos"]
    corrupt: Int[Tensor, "batch pos"]
    scored_positions: Int[Tensor, " batch"]
    answers: Int[Tensor, "batch answer"]
    distractors: Int[Tensor, "batch distractor"]
    index: Int[Tensor, " batch"]

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, TokenPair]]) -> PromptBatch:
        """These prompts, each with its index; shorter ones repeat their last token at the end."""
        rows = [(pair, scored, number) for number, pair in pairs for scored in pair.scored]
        return cls(
            clean=_padded([pair.clean + scored.before for pair, scored, _ in rows]),
            corrupt=_padded([pair.corrupt + scored.before for pair, scored, _ in rows]),
            scored_positions=torch.tensor([scored.position for _, scored, _ in rows]),
            answers=rectangle([scored.answers for _, scored, _ in rows]),
            distractors=rectangle([scored.distractors for _, scored, _ in rows]),
            index=torch.tensor([number for _, _, number in rows]),
        )

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return f"<PromptBatch: {len(self):,} prompts of {self.clean.shape[1]} tokens>"

    def to(self, device: torch.device | str) -> PromptBatch:
        """Return the same batch on `device`."""
        return replace(self, **{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})

    @property
    def _starts(self) -> Bool[Tensor, " batch"]:
        """Whether a row is the first of its prompt."""
        starts = torch.ones_like(self.index, dtype=torch.bool)
        starts[1:] = self.index[1:] != self.index[:-1]
        return starts

    @property
    def prompts(self) -> Int[Tensor, " prompt"]:
        """The indices of the prompts in their PromptPairs, in the order of the rows."""
        return self.index[self._starts]

    @property
    def prompt_numbers(self) -> Int[Tensor, " batch"]:
        """The number of each row's prompt in `prompts`."""
        return self._starts.cumsum(0) - 1

    @property
    def shares(self) -> Float[Tensor, " batch"] | None:
        """What part of its prompt each row is in a mean over scored positions; None where every row is a prompt.

        Where answers are measured whole, those positions are the answers'.
        """
        if (whole := self.continuations) is not None:
            return whole.position_shares
        counts = self.prompt_numbers.bincount()
        return None if len(counts) == len(self) else 1 / counts[self.prompt_numbers].double()

    @property
    def continuations(self) -> Continuations | None:
        """What the rows are where answers are measured whole; None where they are not."""
        is_answer, is_distractor = ((tokens >= 0).any(dim=1) for tokens in (self.answers, self.distractors))
        starts = self._starts
        if is_answer.all() or (is_answer == is_distractor).any() or not is_answer[starts].all():
            return None
        starts[1:] |= self.scored_positions[1:] != self.scored_positions[:-1] + 1
        kind = 2 * self.prompt_numbers + is_answer
        count = kind[starts].bincount()[kind]
        return Continuations(starts.cumsum(0) - 1, 1 / count.double(), is_answer)

    def targets(self, reference: Float[Tensor, "batch vocab"]) -> Targets:
        """What logits are measured against, given those of the full model."""
        return Targets(self.answers, self.distractors, reference, self.shares, self.continuations)

    def added_up(self, values: Float[Tensor, "*lead batch"]) -> Float[Tensor, "*lead prompt"]:
        """The sums over the rows of each prompt, in the order of `prompts`."""
        if len(self.prompts) == len(self):
            return values
        shape = (*values.shape[:-1], len(self.prompts))
        return values.new_zeros(shape).index_add_(-1, self.prompt_numbers.to(values.device), values)

    def columns(self) -> AnswerColumns:
        """Return the vocabulary columns that answers and distractors need, and where each is among them."""
        tokens = torch.cat([self.answers, self.distractors], dim=1)
        numbers = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        numbers = numbers.masked_fill(tokens < 0, -1)
        width = self.answers.shape[1]
        # A padded column must still name some token to be read; nothing refers to it.
        return AnswerColumns(tokens.clamp(min=0), numbers[:, :width], numbers[:, width:])


def _padded(rows: Sequence[Sequence[int]]) -> Int[Tensor, "row column"]:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows])


def rectangle(rows: Sequence[Sequence[int]]) -> Int[Tensor, "row column"]:
    """Token ids of different rows as a tensor; -1 pads."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows], dtype=torch.long)
