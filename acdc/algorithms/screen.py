"""Bounds on KL without the vocabulary: most removals are decided long before 50,000 logits are worth computing.

Around an anchor state with next-token distribution q, a change of the logits by d = W dx, x being the normed final
residual, changes KL(p || .) by (q - p) . d + R, where 0 <= R <= (max d - min d)^2 / 8 (Hoeffding's lemma for the
log-partition function), and max d - min d <= 2 max_v ||W_v - mean W|| ||dx||. The first term takes one vector per
prompt, W^T (q - p), and the bound on R one norm. A removal whose cost is below the threshold even at its bound is
decided; all others are measured.
"""

from __future__ import annotations

from typing import final

from jaxtyping import Float
from torch import Tensor

from acdc.problem import Problem
from graphs.incremental import IncrementalExecutor
from tasks.metrics import KLDivergence, Targets


@final
class KLScreen:
    """The bounds of one batch of prompts; sums over its prompts, in nats."""

    def __init__(self, executor: IncrementalExecutor, targets: Targets) -> None:
        self._executor = executor
        self._unembedding = executor.runs.model.unembedding
        weight = self._unembedding.weight
        self._reach = float((weight - weight.mean(0)).norm(dim=1).max())
        self._reference = targets.reference.softmax(-1)

    @staticmethod
    def suits(problem: Problem) -> bool:
        """Whether the metric is KL and logits are linear in the normed residual."""
        return isinstance(problem.metric, KLDivergence) and problem.model.unembedding.soft_cap is None

    def anchor(self) -> None:
        """Take bounds around the circuit of the moment from now on."""
        self._at = self._unembedding.norm(self._executor.residual)
        self._slope = (self._executor.logits.softmax(-1) - self._reference) @ self._unembedding.weight

    def bounds(
        self, residual: Float[Tensor, "trial batch d_model"]
    ) -> tuple[Float[Tensor, " trial"], Float[Tensor, " trial"]]:
        """KL at these final residuals over KL at the anchor: the linear part, and by how much more it may be."""
        moved = self._unembedding.norm(residual) - self._at
        linear = (moved * self._slope).double().sum((-1, -2))
        return linear.cpu(), (self._reach**2 / 2 * moved.double().square().sum((-1, -2))).cpu()
