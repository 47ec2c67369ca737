"""Sequences of a compiled model's tokens: prompts to measure it with, and all there are to derive its edges from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import BadProgram
from acdc.graphs.execution.runs import TokenPairs
from acdc.graphs.model import Model
from acdc.ground_truth.compiler import BOS, NUMBER
from acdc.precision import finite
from acdc.tasks.pairs import Scoring, TextPair, Wording

_DIFFERENT = 0.01
"""How far outputs of different inputs are apart at least: more than the attention that leaks past a finite softmax."""
_PATIENCE = 200


@dataclass(frozen=True)
class TokenSequences:
    """All sequences of up to `max_len` of these words that a compiled model reads."""

    model: Model
    words: tuple[str, ...]
    max_len: int

    def _prompts(self, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
        """Sequences of numbers of words, all of one length, as tokens."""
        ids = self.model.tokenizer.convert_tokens_to_ids([BOS, *self.words])
        return torch.tensor([[ids[0], *(ids[1 + word] for word in sequence)] for sequence in sequences])

    def batches(self, per_length: int, seed: int) -> tuple[TokenPairs, ...]:
        """All sequences of each length, or as many of them, every place scored and each with a random other one."""
        rng, found = np.random.default_rng(seed), []
        for length in range(1, self.max_len + 1):
            count = len(self.words) ** length
            chosen = rng.permutation(count)[:per_length] if count <= 1 << 20 else rng.integers(count, size=per_length)
            other = (chosen + rng.integers(1, max(count, 2), size=len(chosen))) % count
            clean, corrupt = (self._prompts([self._digits(int(n), length) for n in some]) for some in (chosen, other))
            positions = torch.arange(1, length + 1).repeat(len(clean))
            found.append(
                TokenPairs(clean.repeat_interleave(length, 0), corrupt.repeat_interleave(length, 0), positions)
            )
        return tuple(found)

    def _digits(self, number: int, length: int) -> list[int]:
        """A number's digits with as many values as there are words: each sequence is one number."""
        return [number // len(self.words) ** index % len(self.words) for index in range(length)]

    def draw(self, rng: np.random.Generator) -> TextPair:
        """Two sequences of one length and a place at which the model's outputs differ.

        The answer is the output of the clean one, the distractor that of the corrupt one; where the output is a
        number, its logit, and one that is always 0.

        Raises: BadProgram when 200 pairs in a row have the same outputs; NotFinite.
        """
        for _ in range(_PATIENCE):
            length = int(rng.integers(min(2, self.max_len), self.max_len + 1))
            pair = rng.integers(len(self.words), size=(2, length))
            position = int(rng.integers(length))
            clean, corrupt = self.model.logits(self._prompts(pair.tolist()).to(self.model.device))[:, position + 1]
            if finite(clean - corrupt, "what a compiled program puts out").abs().max() < _DIFFERENT:
                continue
            answer, distractor = self._output(clean), self._output(corrupt)
            if answer == distractor:
                distractor = BOS
            first, second = (" ".join(self.words[word] for word in row) for row in pair)
            return TextPair(
                first, second, (f" {answer}",), (f" {distractor}",), Scoring(position), Wording(f"{length} tokens")
            )
        raise BadProgram(
            f"the program gives the same output at every place of {_PATIENCE} pairs of inputs; wanted one whose output "
            "depends on its tokens"
        )

    def _output(self, logits: Float[Tensor, " vocab"]) -> str:
        words: list[str] = self.model.tokenizer.convert_ids_to_tokens([int(logits.argmax())])
        return NUMBER if NUMBER in self.model.tokenizer.get_vocab() else words[0]
