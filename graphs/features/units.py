"""Units: the parts of what a place in the model holds, each with an activation and a direction: features or neurons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.features.hooks import Hook
from acdc.graphs.features.tapped_run import check_place
from acdc.graphs.model.mlp import FeedForward, Mlp
from acdc.graphs.model.transformer import Model


class AbstractUnits(ABC):
    """Units of one model: what stands where they write is the sum of activations times directions, and a remainder."""

    reads: Hook
    writes: Hook
    directions: Float[Tensor, "unit d_model"]
    """What each adds to the residual stream, given an activation of 1."""

    @abstractmethod
    def activations(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        """Those of all units, given what stands where they read."""

    @abstractmethod
    def name(self, unit: int) -> str:
        """What a unit is called: `m0.f12`, `m3.n7`."""

    @property
    @abstractmethod
    def there(self) -> Float[Tensor, "unit _"]:
        """What each adds where it writes, given an activation of 1."""

    @property
    def count(self) -> int:
        """How many units there are."""
        return len(self.directions)


@final
@dataclass(frozen=True)
class Features(AbstractUnits):
    """The features of a dictionary whose directions have length 1, so that an activation is as large as what is added.

    Raises: BadDictionary when it is of no place whose activations are added to the residual stream.
    """

    dictionary: Dictionary
    directions: Float[Tensor, "unit d_model"]

    @classmethod
    def of(cls, dictionary: Dictionary, model: Model) -> Features:
        """Those of a dictionary in the model that it is of.

        Raises: BadDictionary.
        """
        folded = dictionary.to(model.device, model.dtype).folded()
        hook, weight = folded.writes, folded.decoder.weight
        check_place(model, hook)
        if hook.site == "mlp_in":
            raise BadDictionary(
                f"{dictionary.name} writes {hook}, which is not added to the residual stream; use one of "
                "hook_mlp_out, hook_attn_out, attn.hook_z or the residual stream"
            )
        if hook.site == "attn_z":
            output = model.layers[hook.layer].attention.output
            if output.post_norm is not None:
                raise BadDictionary(f"{hook} is normed before it is added to the residual stream; use hook_attn_out")
            weight = weight @ output.weight.flatten(0, 1)
        return cls(folded, weight)

    @property
    def reads(self) -> Hook:  # type: ignore[override]
        """Where activations are read from."""
        return self.dictionary.reads

    @property
    def writes(self) -> Hook:  # type: ignore[override]
        """Where directions are added up."""
        return self.dictionary.writes

    def activations(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        """Those of all features."""
        return self.dictionary.encode(x) * self.dictionary.scale(x)

    @property
    def there(self) -> Float[Tensor, "unit _"]:
        """The dictionary's directions."""
        return self.dictionary.decoder.weight

    def name(self, unit: int) -> str:
        """What a feature is called."""
        return f"{self.writes.node}.f{unit}"


@final
@dataclass(frozen=True)
class Neurons(AbstractUnits):
    """The neurons of one layer's MLP.

    Raises: BadDictionary where the model has none there, or they cannot be told apart.
    """

    layer: int
    mlp: Mlp
    directions: Float[Tensor, "unit d_model"]

    @classmethod
    def of(cls, model: Model, layer: int) -> Neurons:
        """Those of a layer.

        Raises: BadDictionary.
        """
        check_place(model, Hook("mlp_out", layer))
        mlp = model.layers[layer].mlp
        assert mlp is not None
        if not isinstance(mlp.inner, FeedForward):
            raise BadDictionary(
                f"m{layer} is a mixture of experts, whose neurons cannot be told apart; choose another layer"
            )
        if mlp.post_norm.kind != "none" and (mlp.post_norm.kind != "rms" or mlp.inner.out[1] is not None):
            raise BadDictionary(
                f"m{layer} has a norm behind its neurons that is no RMSNorm, or a bias before it, so that what it "
                "writes is no sum over neurons; choose another layer"
            )
        weight = mlp.inner.out[0].T * mlp.scale
        if mlp.post_norm.weight is not None:
            weight = weight * mlp.post_norm.weight
        return cls(layer, mlp, weight)

    @property
    def reads(self) -> Hook:  # type: ignore[override]
        """Where activations are read from."""
        return Hook("mlp_in", self.layer)

    @property
    def writes(self) -> Hook:  # type: ignore[override]
        """Where directions are added up."""
        return Hook("mlp_out", self.layer)

    def activations(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        """What the neurons make of the MLP's normed input, times the scale of a norm behind them."""
        assert isinstance(self.mlp.inner, FeedForward)
        made = self.mlp.inner.neurons(x)
        norm = self.mlp.post_norm
        if norm.kind == "none":
            return made
        together = torch.nn.functional.linear(made, self.mlp.inner.out[0])
        wide = together if together.dtype == torch.float64 else together.float()
        return made * torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps).to(made.dtype)

    @property
    def there(self) -> Float[Tensor, "unit _"]:
        """What it adds to the residual stream."""
        return self.directions

    def name(self, unit: int) -> str:
        """What a neuron is called."""
        return f"m{self.layer}.n{unit}"
