"""What the heads of a layer write together, and the residual stream, as sums of parts."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from acdc.graphs.model.parts import Attention


class AbstractAttentionParts(ABC):
    """A way to split what the heads of a layer write together; `names` are those of the parts, in their order."""

    names: tuple[str, ...]

    @abstractmethod
    def __call__(
        self,
        attention: Attention,
        gathered: Float[Tensor, "head *batch pos d_head"],
        scale: Float[Tensor, "*#batch pos d_model"] | None,
    ) -> Float[Tensor, "part *batch pos d_model"]:
        """What each part adds to the residual stream, given the values that heads gathered; in sum, what they write.

        `scale` is the frozen one of a norm behind the heads, if there is one. The output's bias belongs to no part.
        """


class AbstractStreamParts(ABC):
    """A way to split the residual stream at one place; `names` are those of the parts, in their order."""

    names: tuple[str, ...]

    @abstractmethod
    def __call__(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "part *batch d_model"]:
        """The parts, whose sum is the residual stream, biases included."""
