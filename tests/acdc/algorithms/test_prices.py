"""The price of an edge rises evenly, and begins lower the more edges there are."""

from __future__ import annotations

import pytest

from acdc.algorithms.prices import Prices
from acdc.errors import BadSetting


def test_prices_rise_by_the_same_factor_at_every_step() -> None:
    prices = Prices(4, 0.01, 0.16)
    assert [prices.at(done) for done in (0.0, 1.0, 2.0, 4.0)] == pytest.approx([0.01, 0.02, 0.04, 0.16])
    assert Prices(2, 0.02, 0.02).at(1.0) == pytest.approx(0.02)


def test_the_price_for_many_edges_begins_lower_and_rises_as_fast() -> None:
    prices = Prices()
    for edges, lower in ((10, 1.0), (400, 1.0), (1_519, 3.7975), (4_000, 10.0), (123_211, 10.0)):
        from_lower = prices.from_lower(edges)
        assert from_lower.first == pytest.approx(prices.first / lower)
        assert from_lower.at(1.0) / from_lower.first == pytest.approx(prices.at(1.0) / prices.first, rel=1e-4)
        assert from_lower.at(float(from_lower.steps)) == pytest.approx(prices.last)
    assert Prices(9, 0.5, 0.5).from_lower(4_000) == Prices(9, 0.05, 0.5), "no faster than that"


@pytest.mark.parametrize(("first", "last"), [(0.0, 1.0), (0.2, 0.1), (0.1, float("inf")), (float("nan"), 1.0)])
def test_prices_that_do_not_rise_are_refused(first: float, last: float) -> None:
    with pytest.raises(BadSetting, match="edges cannot cost"):
        Prices(4, first, last)


def test_no_steps_are_refused() -> None:
    with pytest.raises(BadSetting, match="0 steps train nothing"):
        Prices(0)
