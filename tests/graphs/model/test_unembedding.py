"""The end of a model, in some columns as in all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from acdc.graphs.model.parts import Norm
from acdc.graphs.model.unembedding import RowSpread, Unembedding
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


@pytest.mark.parametrize("bias", [None, drawn(20, seed=7)], ids=["no bias", "bias"])
def test_few_rows_have_the_logits_that_they_have_among_many(bias: Tensor | None) -> None:
    unembedding = Unembedding(Norm("rms", None, None, 1e-5), drawn(20, D_MODEL, seed=1), bias, None)
    residual = drawn(100, BATCH, D_MODEL)
    logits = unembedding(residual)
    close(unembedding(residual[:3]), logits[:3])
    close(unembedding(residual[7]), logits[7])


def test_the_spread_of_rows_is_that_of_its_definition() -> None:
    weight = drawn(3000, D_MODEL) + 2
    spread, centred = RowSpread.of(weight), weight - weight.mean(0)
    close(spread.centre, weight.mean(0))
    close(spread.distances, centred.norm(dim=1))
    close(spread.lengths, weight.norm(dim=1))
    assert spread.reach == float(centred.norm(dim=1).max()) == float(spread.distances[spread.farthest[0]])
    assert spread.longest == float(weight.norm(dim=1).max())
    widest = float(torch.linalg.eigvalsh(centred.T @ centred)[-1])
    assert widest <= spread.widest <= 1.01 * widest
