"""Some tokens of a batch's prompts in place of all of them, such as those at which circuits can differ at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Some tokens of so many prompts of one length, by number: `prompt * length + position`, in ascending order.

    What stands at them is held as if they were those of one prompt: [*, 1, token, d] instead of [*, batch, pos, d].
    """

    numbers: Int[Tensor, " token"]
    prompts: int
    length: int

    @cached_property
    def prompt(self) -> Int[Tensor, " token"]:
        """Of which prompt each is."""
        return self.numbers // self.length

    @cached_property
    def position(self) -> Int[Tensor, " token"]:
        """Where in its prompt each stands."""
        return self.numbers % self.length

    def find(self, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Where among them the token at this position of each prompt stands, which must be one of them."""
        wanted = torch.arange(self.prompts, device=positions.device) * self.length + positions
        return torch.searchsorted(self.numbers, wanted)

    def take(self, x: Float[Tensor, "*lead #batch #pos d"]) -> Float[Tensor, "*lead 1 #token d"]:
        """What stands at them; what stands at all of all prompts alike stays one number for all."""
        if x.shape[-3:-1] == (1, 1):
            return x
        whole = x.expand(*x.shape[:-3], self.prompts, self.length, x.shape[-1])
        return whole.flatten(-3, -2).index_select(-2, self.numbers).unsqueeze(-3)

    def put(
        self, x: Float[Tensor, "*lead 1 token d"], onto: Float[Tensor, "*#lead batch pos d"]
    ) -> Float[Tensor, "*lead batch pos d"]:
        """x at them, and what stands there already everywhere else."""
        whole = onto.expand(*x.shape[:-3], *onto.shape[-3:]).clone(memory_format=torch.contiguous_format)
        whole.flatten(-3, -2).index_copy_(-2, self.numbers, x.squeeze(-3))
        return whole

    def select(self, prompts: Int[Tensor, " some"], length: int) -> tuple[Tokens, Int[Tensor, " chosen"]]:
        """Those of some of the prompts, cut to a length; and which of these tokens they are."""
        wanted = (self.prompt == prompts[:, None]) & (self.position < length)
        prompt, chosen = wanted.nonzero(as_tuple=True)
        return Tokens(prompt * length + self.position[chosen], len(prompts), length), chosen
