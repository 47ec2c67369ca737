"""A screen of large models: all cells of patching maps on few typical prompts, the strongest on all prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.explain.estimates import Estimates
from acdc.problem import Problem


@dataclass(frozen=True)
class Screen:
    """On how many prompts all cells are measured, and how many of each map are measured on all prompts then.

    What is measured is exact, on few prompts or on all; a cell that matters on none of the few is not looked at again.
    """

    prompts: int = 1
    cells: int = 6

    def typical(
        self, problem: Problem, whole: Float[Tensor, " prompt"], having: Bool[Tensor, "name prompt"]
    ) -> list[int]:
        """The prompts to begin with: short ones in which the behaviour is as large as it mostly is.

        Preferred are those that have most of the named positions; of a name that none of them has, there is one more.
        """
        far, lengths = (whole - whole.median()).abs().tolist(), [len(pair.clean) for pair in problem.pairs.pairs]
        has = having.sum(0).tolist()
        shortest = min(lengths)
        ordered = sorted(range(len(lengths)), key=lambda one: (-has[one], lengths[one] > shortest, far[one]))
        found = ordered[: self.prompts]
        for name in having:
            if not name[found].any():
                found += [one for one in ordered if name[one]][:1]
        return sorted(found)

    def strongest(self, denoising: Estimates, noising: Estimates) -> Bool[Tensor, "layer column"]:
        """The cells that change most, in one way or the other."""
        sizes = np.fmax(abs(denoising.value), abs(noising.value))
        sizes = np.where(np.isnan(sizes), -np.inf, sizes)
        order = np.argsort(-sizes, axis=None, kind="stable")[: self.cells]
        chosen = np.zeros(sizes.size, dtype=bool)
        chosen[order] = True
        return torch.from_numpy(chosen.reshape(sizes.shape) & np.isfinite(sizes))
