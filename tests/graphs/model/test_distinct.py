"""Rows that are the same are found, and no others."""

from __future__ import annotations

import torch

from acdc.graphs.model.distinct import distinct


def test_the_rows_come_back_from_the_distinct_ones() -> None:
    rows = torch.randn(4, 3, 5, dtype=torch.float64)
    rows = rows[[0, 1, 0, 2, 1, 3, 0]]
    first, same = distinct(rows)
    assert len(first) == 4
    assert torch.equal(first[same], rows)
    assert same.tolist() == [0, 1, 0, 2, 1, 3, 0]


def test_rows_of_one_sum_that_differ_stay_apart() -> None:
    rows = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [2.0, 1.0, 0.0]])
    first, same = distinct(rows)
    assert torch.equal(first[same], rows)
    assert same.tolist() == [0, 1, 2, 1]


def test_rows_that_are_not_numbers_are_never_the_same() -> None:
    rows = torch.full((2, 3), torch.nan)
    first, same = distinct(rows)
    assert first[same].isnan().all()
    assert same.tolist() == [0, 1]


def test_one_row_and_none_are_themselves() -> None:
    for count in (0, 1):
        rows = torch.ones(count, 2)
        first, same = distinct(rows)
        assert torch.equal(first, rows)
        assert same.tolist() == [0] * count
