"""Rough sums of exponentials are within the bounds that are said of them, and these are narrow."""

from __future__ import annotations

import math

import pytest
import torch

from acdc.algorithms.rough_logits import log_bounds
from acdc.graphs.model.unembedding import RoughRows, RowSpread


@pytest.mark.parametrize("scale", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("vocabulary", [5, 3000, 20000])  # fewer than are summed at once, and more
def test_the_exact_sum_is_within_its_bounds(scale: float, vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    weight = torch.randn(vocabulary, 64, generator=generator) + 3.0
    log_weights = (4 * torch.randn(vocabulary, 3, generator=generator)).log_softmax(0)
    log_weights[:2] = -math.inf
    moved = scale / 8 * torch.randn(40, 3, 64, generator=generator, dtype=torch.float64)
    spread = RowSpread.of(weight)
    rough, reach = RoughRows.of(weight, spread), float(spread.distances[2:].max())

    least, most = log_bounds(rough, reach, log_weights, moved)

    products = torch.einsum("vd,sbd->svb", weight.double() - spread.centre, moved)
    exact = (products + log_weights.double()).logsumexp(1)
    assert (least <= exact).all()
    assert (exact <= most).all()
    each = reach * moved.norm(dim=-1)  # four roundings of 2^-8 of this are what anything might be off by
    assert (most - least < 2 * (0.6 * 2**-6 * each + 0.01)).all()


def test_rows_are_known_to_be_off_by_less_than_all_their_numbers_could_be() -> None:
    weight = torch.randn(200, 256, generator=torch.Generator().manual_seed(0))
    spread = RowSpread.of(weight)
    rough = RoughRows.of(weight, spread)
    lost = (weight.double() - spread.centre - rough.rows.double()).norm(dim=1)
    assert (lost <= rough.off * spread.distances).all()
    assert 0.3 * 2**-8 < rough.off < 0.6 * 2**-8


def test_of_rows_that_are_all_the_same_nothing_is_off() -> None:
    weight = torch.full((10, 4), 0.1)
    assert RoughRows.of(weight, RowSpread.of(weight)).off <= 2.0**-8


def test_of_what_is_not_a_number_nothing_is_said() -> None:
    weight = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    spread = RowSpread.of(weight)
    moved = torch.full((1, 1, 8), math.nan, dtype=torch.float64)
    least, most = log_bounds(RoughRows.of(weight, spread), 1.0, torch.zeros(30, 1), moved)
    assert (least == -math.inf).all()
    assert most.isnan().all()


def test_nor_of_exponentials_that_overflow() -> None:
    weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    moved = torch.tensor([[[89.0, 0.0]], [[88.0, 0.0]]], dtype=torch.float64)
    least, most = log_bounds(RoughRows.of(weight, RowSpread.of(weight)), 1.0, torch.zeros(2, 1), moved)
    assert least[0] == -math.inf
    assert most[0] == math.inf
    assert 87 < least[1] <= 88 <= most[1] < 90


@pytest.mark.parametrize("pairs", [2, 4, 8])
def test_what_one_rounding_adds_the_others_multiply(pairs: int) -> None:
    """A row rounded by as much as can be, all in the direction of the displacement, to a product just below 0."""
    parts, unit = [(8.0, 1, 1)] * pairs + [(2.0, 1, 33), (0.5, 1, 7)], 2.0**-8
    row = [
        number
        for size, up, down in parts
        for number in (size * (1 + up / 128 + 0.99 * unit), -size * (1 + (down - 1) / 128 + 1.01 * unit))
    ]
    moved = torch.tensor([size for size, _, _ in parts for _ in range(2)], dtype=torch.float64)
    weight = torch.cat((torch.tensor([row]), -torch.tensor([row]).expand(64, -1) / 64))
    log_weights = torch.full((65, 1), -60.0).index_fill_(0, torch.tensor([0]), 0.0)
    spread = RowSpread.of(weight)

    least, most = log_bounds(RoughRows.of(weight, spread), spread.reach, log_weights, moved[None, None])

    exact = (((weight.double() - spread.centre) @ moved)[:, None] + log_weights.double()).logsumexp(0)
    assert (least <= exact).all()
    assert (exact <= most).all()
