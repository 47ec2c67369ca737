"""How what a circuit and its model say changes with what `input` writes, on clean and corrupt prompts alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import TokenPairs, between, end, positions_of
from acdc.graphs.model.transformer import Model

Objective = Callable[[Float[Tensor, "batch vocab"], Float[Tensor, "batch vocab"]], Float[Tensor, " batch"]]
"""A number per prompt, made of the logits of the model and of the circuit at the scored positions."""


@dataclass(frozen=True)
class TokenGradients:
    """The gradient of a number per prompt at the output of `input`, on the clean and on the corrupt prompts.

    Both are as long as the prompts; `corrupt` is 0 under ablations that do not run the corrupt prompt.
    """

    clean: Float[Tensor, "batch pos d_model"]
    corrupt: Float[Tensor, "batch pos d_model"]


def token_gradients(
    model: Model,
    prompts: TokenPairs,
    circuit: Circuit,
    objective: Objective,
    ablation: Ablation = Ablation.RESAMPLE,
    constants: Float[Tensor, "sender 1 _ d_model"] | None = None,
) -> TokenGradients:
    """The gradient of `objective`, through the model and through the circuit, where tokens enter.

    What missing edges carry under the mean ablations and optimal ablation is constant: it hangs on other prompts.

    Raises: BadTokens; DifferentGraphs.
    Source: the gradient by which Ebrahimi et al. 2018 (HotFlip, arXiv:1712.06751), section 2, rank substitutions.
    """
    last = end(model, prompts)
    clean, corrupt = (model.embed(tokens.to(model.device)) for tokens in (prompts.clean, prompts.corrupt))
    with torch.enable_grad():
        clean.requires_grad_()
        corrupt.requires_grad_()
        parts = clean[:, :last], corrupt[:, :last]
        runs = between(model, *parts, positions_of(model, prompts), ablation, constants, prompts.clean.shape[1])
        mask = torch.from_numpy(circuit.mask()).to(runs.delta)
        [logits] = Executor.of(runs).run_masks(mask[None])
        values = objective(runs.reference(), logits)
        first, second = torch.autograd.grad(values.sum(), (clean, corrupt), allow_unused=True, materialize_grads=True)
    return TokenGradients(first, second)
