"""What a shipped model is trained on by interchange, and the checkpoint with its true edges that comes of it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.models.training.interchange import Training, untrained
from acdc.tasks.models.training.program import Program
from acdc.tasks.models.training.word_level import save_tokenizer, word_level_tokenizer

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

POSITIONS, POOL, BATCH = 16, 20_000, 128


@dataclass(frozen=True)
class AlignedModel:
    """A program, the task that asks for it, how its prompts are drawn, and the words that they are made of."""

    task: str
    program: Program
    draw: Callable[[np.random.Generator, Combinations], str]
    words: tuple[str, ...]
    steps: int

    def prompts(self, count: int, seed: int, among: Combinations) -> Int[Tensor, "prompt pos"]:
        """Random prompts as tokens."""
        rng, tokenizer = np.random.default_rng(seed), word_level_tokenizer(self.words)
        return torch.tensor([tokenizer.encode(self.draw(rng, among)) for _ in range(count)])

    def training(self, seed: int, pool: int = POOL) -> Training:
        """The untrained model with prompts of combinations that are not held out."""
        model = untrained(len(word_level_tokenizer(self.words)), POSITIONS, seed)
        return Training(model, self.program, self.prompts(pool, seed, Combinations.TRAINED), seed)

    def save(self, model: GPT2LMHeadModel, directory: Path) -> None:
        """Write the checkpoint and `truth.json`."""
        directory.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(directory)
        save_tokenizer(self.words, POSITIONS, directory)
        (directory / "truth.json").write_text(self.program.truth(self.task) + "\n", encoding="utf-8")

    def trained(self, description: str | None) -> Iterator[str]:
        """Do what the command line asks for: train and save, telling of it now and then."""
        arguments = argparse.ArgumentParser(description=description)
        arguments.add_argument("--out", type=Path, required=True)
        arguments.add_argument("--seed", type=int, default=0)
        arguments.add_argument("--steps", type=int, default=self.steps)
        options = arguments.parse_args()
        training, start = self.training(options.seed), time.perf_counter()
        for step, loss in enumerate(training.steps(options.steps, BATCH), start=1):
            if step % 100 == 0:
                yield f"step {step:5d}  loss {loss:.3f}  {time.perf_counter() - start:.0f} s"
        self.save(training.model, options.out)
