"""The MLP of a layer: its norms, and between them linear maps that we know or a module that is run as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.parts import Norm
from acdc.graphs.model.placement import beside, moved
from acdc.graphs.model.precision import Wide

Linear = tuple[Float[Tensor, "_ _"], Float[Tensor, " _"] | None]
"""The weight [out, in] and the bias [out] of a linear map."""


_FEW = 4
"""So many rows for each input, in the mean, are few: each is multiplied on its own."""


@dataclass(frozen=True)
class FeedForward:
    """Two linear maps with a function between them, plain (`gate` is None) or gated; `norm` as in SoLU models."""

    into: tuple[Float[Tensor, "d_mlp d_model"], Float[Tensor, " d_mlp"] | None]
    gate: tuple[Float[Tensor, "d_mlp d_model"], Float[Tensor, " d_mlp"] | None] | None
    out: tuple[Float[Tensor, "d_model d_mlp"], Float[Tensor, " d_model"] | None]
    activation: Callable[[Tensor], Tensor]
    norm: Norm

    def __call__(
        self, x: Float[Tensor, "*batch d_model"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "*batch d_model"]:
        """What it makes of its normed input."""
        return beside(self.into[0].device, x, lambda x, device: self._on(device)._made(x, rules))

    def neurons(
        self, x: Float[Tensor, "*batch d_model"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "*batch d_mlp"]:
        """What its neurons make of its normed input: what the second map, `out`, reads."""
        return beside(self.into[0].device, x, lambda x, device: self._on(device)._hidden(x, rules))

    def neurons_apart(
        self,
        x: Float[Tensor, "input *batch d_model"],
        neurons: Int[Tensor, " chosen"],
        inputs: Int[Tensor, " chosen"],
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "chosen *batch"]:
        """What chosen neurons make, each of the normed input that `inputs` says, by their own rows of the weights."""

        def on(x: Float[Tensor, "input *batch d_model"], device: torch.device) -> Float[Tensor, "chosen *batch"]:
            return self._on(device)._hidden_apart(x, neurons.to(device), inputs.to(device), rules)

        if self.norm.kind != "none" or not _is_elementwise(self.activation):  # it takes all neurons to know one
            made: Tensor = self.neurons(x, rules)[inputs, ..., neurons]
            return made
        return beside(self.into[0].device, x, on)

    def _hidden_apart(
        self,
        x: Float[Tensor, "input *batch d_model"],
        neurons: Int[Tensor, " chosen"],
        inputs: Int[Tensor, " chosen"],
        rules: BackwardRules,
    ) -> Float[Tensor, "chosen *batch"]:
        def linear(weight: Float[Tensor, "d_mlp d_model"], bias: Float[Tensor, " d_mlp"] | None) -> Tensor:
            made = rows_apart(x, weight[neurons], inputs)
            return made if bias is None else made + bias[neurons].view(-1, *[1] * (made.ndim - 1))

        hidden = linear(*self.into)
        if self.gate is None:
            return rules.activated(self.activation, hidden)
        return rules.gated(rules.activated(self.activation, linear(*self.gate)), hidden)

    def _on(self, device: torch.device) -> FeedForward:
        return self if device == self.into[0].device else moved(self, device)

    def _made(self, x: Float[Tensor, "*batch d_model"], rules: BackwardRules) -> Float[Tensor, "*batch d_model"]:
        return F.linear(self._hidden(x, rules), *self.out)

    def _hidden(self, x: Float[Tensor, "*batch d_model"], rules: BackwardRules) -> Float[Tensor, "*batch d_mlp"]:
        hidden = F.linear(x, *self.into)
        if self.gate is None:
            hidden = rules.activated(self.activation, hidden)
        else:
            hidden = rules.gated(rules.activated(self.activation, F.linear(x, *self.gate)), hidden)
        return self.norm(hidden, rules)


def rows_apart(
    x: Float[Tensor, "input *batch d_in"], rows: Float[Tensor, "chosen d_in"], inputs: Int[Tensor, " chosen"]
) -> Float[Tensor, "chosen *batch"]:
    """The inner products of each row with its own of the inputs; where few have many rows, these are one product."""
    if _FEW * len(x) > len(inputs):
        return torch.einsum("c...d,cd->c...", x[inputs], rows)
    order = inputs.argsort(stable=True)
    by_input = torch.split(rows[order], inputs.bincount(minlength=len(x)).tolist())
    made = [torch.einsum("...d,cd->c...", own, some) for own, some in zip(x, by_input, strict=True)]
    return torch.cat(made)[order.argsort()]


def _is_elementwise(activation: Callable[[Tensor], Tensor]) -> bool:
    """Whether what it makes of a number depends on that number alone; SoLU has a softmax over all."""
    probe = torch.linspace(-2, 2, 5)
    alone = torch.cat([activation(number) for number in probe.split(1)])  # type: ignore[no-untyped-call]
    return torch.allclose(activation(probe), alone, rtol=0, atol=1e-3)


@dataclass(frozen=True)
class WholeModule:
    """A module run as it is, position by position, whose `weights` these are: a mixture of experts, say.

    In float64 nothing inside is rounded to float32. It runs where its weights are, be it the CPU.
    """

    module: nn.Module
    weights: tuple[Tensor, ...]

    @classmethod
    def of(cls, module: nn.Module) -> WholeModule:
        """The module with the weights that it has now."""
        return cls(module, tuple(module.parameters()))

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """What it makes of its normed input; no gradient flows to its weights."""
        wide = Wide(x.dtype) if x.dtype == torch.float64 else nullcontext()
        with _constant(self.weights), wide:
            wrote = self.module(x.to(self.weights[0].device).reshape(1, -1, x.shape[-1]))
        made: Tensor = wrote if isinstance(wrote, Tensor) else wrote[0]  # some give their router's logits too
        return made.view(x.shape).to(x.device)


@contextmanager
def _constant(weights: tuple[Tensor, ...]) -> Iterator[None]:
    learned = [weight for weight in weights if weight.requires_grad]
    try:
        for weight in learned:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in learned:
            weight.requires_grad_(True)


@dataclass(frozen=True)
class Mlp:
    """One MLP with its norms; what it writes is `scale` times what comes out of them."""

    norm: Norm
    inner: FeedForward | WholeModule
    post_norm: Norm
    scale: float = 1.0

    def __call__(
        self, residual: Float[Tensor, "*batch d_model"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "*batch d_model"]:
        """What the MLP adds to the residual stream it reads."""
        return self.after_norm(self.norm(residual, rules), rules)

    def after_norm(
        self, normed: Float[Tensor, "*batch d_model"], rules: BackwardRules = BackwardRules.GRADIENT
    ) -> Float[Tensor, "*batch d_model"]:
        """The same, given its normed input."""
        made = self.inner(normed, rules) if isinstance(self.inner, FeedForward) else self.inner(normed)
        wrote = self.post_norm(made, rules)
        return wrote if self.scale == 1.0 else wrote * self.scale
