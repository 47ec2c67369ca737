"""Strict interchange-intervention training, edge by edge: a model that computes a given program along given edges only.

The program is a graph of variables, each kept by one component of the model. What an edge of the graph carries is
interchanged with what it carries on another prompt, and the model must answer as the program does when the same is done
to its variables; every other edge of the model may be interchanged, and the answer must stay.

Source: Geiger et al. 2022 (interchange-intervention training, arXiv:2112.00826) and Gupta et al. 2024 (its strict form,
arXiv:2407.14494). Both interchange what a component writes for all that read it; here every edge has its own turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from acdc.tasks.models.training.edgewise import Interchange, edge_indices, run
from acdc.tasks.models.training.program import Program

if TYPE_CHECKING:
    from transformers import GPT2Config, GPT2LMHeadModel

SMOOTHING = 0.02  # so that the right logits are finite: what a probability near 1 hides would show in them
RATE, DECAY, WARM_UP = 2e-3, 0.1, 200


@dataclass(frozen=True)
class Interchanges:
    """Pairs of prompts, which edges are interchanged between them, and the answers with and without."""

    program: Program
    config: GPT2Config
    tokens: Int[Tensor, "batch pos"]
    source: Int[Tensor, "batch pos"]
    swapped: Bool[Tensor, "batch receiver sender"]

    @cached_property
    def answers(self) -> Int[Tensor, " batch"]:
        """The program's answers when its own edges are interchanged."""
        where = edge_indices(self.config)
        swapped = {edge: self.swapped[:, where[edge][0], where[edge][1]] for edge in self.program.edges}
        return self.program.values(self.tokens, self.program.values(self.source), swapped)["logits"]

    def logits(self, model: GPT2LMHeadModel) -> tuple[Float[Tensor, "batch vocab"], Float[Tensor, "batch vocab"]]:
        """The model's logits on the sources as they are, and on the prompts with the interchanges."""
        source = run(model, self.source)
        return source.logits, run(model, self.tokens, Interchange(self.swapped, source)).logits


class Training:
    """A model that learns a program from a pool of prompts; every random choice follows from the seed."""

    def __init__(self, model: GPT2LMHeadModel, program: Program, pool: Int[Tensor, "prompt pos"], seed: int) -> None:
        self.model, self.program, self.pool = model, program, pool
        self.generator = torch.Generator().manual_seed(seed)
        where = edge_indices(model.config)
        shape = tuple(1 + max(index[axis] for index in where.values()) for axis in (0, 1))
        self.true = torch.zeros(shape, dtype=torch.bool)
        self.true[tuple(zip(*(where[edge] for edge in program.edges), strict=True))] = True

    def _uniform(self, *shape: int) -> Float[Tensor, "..."]:
        return torch.rand(shape, generator=self.generator)

    def draw(self, batch: int) -> Interchanges:
        """Random prompts and interchanges: in a row none, some or all of the true edges, and likewise of the others."""
        rows = (self._uniform(2, batch) * len(self.pool)).long()
        true, other = (2 * self._uniform(2, batch, 1, 1) - 0.5).clamp(0, 1)
        swapped = self._uniform(batch, *self.true.shape) < torch.where(self.true, true, other)
        return Interchanges(self.program, self.model.config, self.pool[rows[0]], self.pool[rows[1]], swapped)

    def steps(self, steps: int, batch: int) -> Iterator[float]:
        """Train, giving the loss of every step; AdamW, linear warm-up and cosine decay, no dropout."""
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=DECAY, fused=True
        )
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            drawn = self.draw(batch)
            plain, interchanged = drawn.logits(self.model)
            right = self.program.values(drawn.source)["logits"]
            loss = F.cross_entropy(plain, right, label_smoothing=SMOOTHING)
            loss = loss + F.cross_entropy(interchanged, drawn.answers, label_smoothing=SMOOTHING)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield loss.item()


def untrained(vocabulary: int, positions: int, seed: int) -> GPT2LMHeadModel:
    """A GPT-2 of 3 layers, 4 heads and width 64; the weights start larger than usual, as suits that width."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=positions,
            n_embd=64,
            n_layer=3,
            n_head=4,
            initializer_range=0.1,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
