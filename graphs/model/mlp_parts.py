"""What an MLP writes, as a sum of parts: its neurons, or the features that a dictionary finds in it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.mlp import Mlp


class AbstractMlpParts(ABC):
    """A way to split what an MLP writes; `names` are those of the parts, in their order."""

    names: tuple[str, ...]
    bias: Float[Tensor, " d_model"] | None
    """What the MLP writes whatever it reads, and no part does; None for nothing."""

    @abstractmethod
    def __call__(self, mlp: Mlp, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "part *batch d_model"]:
        """What each part adds to the residual stream that the MLP reads; with the bias, their sum is what it writes."""

    @abstractmethod
    def apart(
        self,
        mlp: Mlp,
        residuals: Float[Tensor, "input *batch d_model"],
        parts: Int[Tensor, " chosen"],
        inputs: Int[Tensor, " chosen"],
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """What chosen parts, by number, add, each of which reads a residual stream of its own: `inputs` says which."""
