"""The end of a model, in some columns as in all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from acdc.graphs.model.parts import Norm
from acdc.graphs.model.unembedding import Unembedding
from tests.graphs.model.test_parts import BATCH, D_MODEL, close, drawn


@pytest.mark.parametrize("bias", [None, drawn(20, seed=7)], ids=["no bias", "bias"])
@pytest.mark.parametrize("soft_cap", [None, 1.5])
def test_columns_of_the_unembedding_are_those_of_the_whole(bias: Tensor | None, soft_cap: float | None) -> None:
    unembedding = Unembedding(Norm("rms", None, None, 1e-5), drawn(20, D_MODEL, seed=1), bias, soft_cap)
    residual, columns = drawn(4, BATCH, D_MODEL), torch.tensor([[3, 19, 0], [5, 5, 1]])
    logits = unembedding(residual)
    assert logits.shape == (4, BATCH, 20)
    close(unembedding(residual, columns), logits.gather(-1, columns.expand(4, -1, -1)))
    if soft_cap is not None:
        assert logits.abs().max() < soft_cap
