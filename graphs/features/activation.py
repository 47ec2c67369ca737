"""How the features of a dictionary are switched on: from what each feature's direction reads to its activation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor


class AbstractActivation(ABC):
    """A function from what the encoder makes of its input, bias included, to activations, 0 where a feature is off."""

    @abstractmethod
    def __call__(self, made: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations."""

    @abstractmethod
    def of(self, features: Int[Tensor, " chosen"]) -> AbstractActivation | None:
        """The function for chosen features alone; None where the activation of one depends on the others."""

    @abstractmethod
    def to(self, device: torch.device, dtype: torch.dtype) -> AbstractActivation:
        """The same there, in that precision."""


@final
@dataclass(frozen=True)
class Rectified(AbstractActivation):
    """ReLU: what is negative is off."""

    def __call__(self, made: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations."""
        return made.relu()

    def of(self, features: Int[Tensor, " chosen"]) -> Rectified:
        """Itself: it treats all alike."""
        return self

    def to(self, device: torch.device, dtype: torch.dtype) -> Rectified:
        """Itself: it holds no tensor."""
        return self


@final
@dataclass(frozen=True)
class TopK(AbstractActivation):
    """ReLU of the `k` largest of each token, all others off.

    Source: Gao et al. 2024 (arXiv:2406.04093), section 2.3.
    """

    k: int

    def __call__(self, made: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations."""
        largest = made.topk(min(self.k, made.shape[-1]), dim=-1)
        return torch.zeros_like(made).scatter(-1, largest.indices, largest.values.relu())

    def of(self, features: Int[Tensor, " chosen"]) -> None:
        """None: which are the largest depends on all."""

    def to(self, device: torch.device, dtype: torch.dtype) -> TopK:
        """Itself: it holds no tensor."""
        return self


@final
@dataclass(frozen=True)
class Thresholded(AbstractActivation):
    """JumpReLU: what is above the feature's threshold, and above 0, unchanged; all else off.

    Source: Rajamanoharan et al. 2024 (arXiv:2407.14435), section 3.
    """

    threshold: Float[Tensor, " feature"]

    def __call__(self, made: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations."""
        return made.relu() * (made > self.threshold)

    def of(self, features: Int[Tensor, " chosen"]) -> Thresholded:
        """With their thresholds."""
        return Thresholded(self.threshold[features])

    def to(self, device: torch.device, dtype: torch.dtype) -> Thresholded:
        """The same there, in that precision."""
        return Thresholded(self.threshold.to(device, dtype))


@final
@dataclass(frozen=True)
class Gated(AbstractActivation):
    """On where the encoder's direction with one bias is above 0, as strong as it is with another scale and bias.

    Source: Rajamanoharan et al. 2024 (arXiv:2404.16014), section 3.2, with tied weights.
    """

    gate_bias: Float[Tensor, " feature"]
    scale: Float[Tensor, " feature"]
    magnitude_bias: Float[Tensor, " feature"]

    def __call__(self, made: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations."""
        return (made * self.scale + self.magnitude_bias).relu() * (made + self.gate_bias > 0)

    def of(self, features: Int[Tensor, " chosen"]) -> Gated:
        """With their biases and scales."""
        return Gated(self.gate_bias[features], self.scale[features], self.magnitude_bias[features])

    def to(self, device: torch.device, dtype: torch.dtype) -> Gated:
        """The same there, in that precision."""
        return Gated(*(part.to(device, dtype) for part in (self.gate_bias, self.scale, self.magnitude_bias)))
