"""A device's speed is the operations of a product over the time that it took."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from acdc.cost import device_speed
from acdc.cost.device_speed import operations_per_second
from acdc.errors import BadSetting


@pytest.fixture
def _ticking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock by which everything takes a tenth of a second."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(device_speed.time, "perf_counter", lambda: next(ticks) / 10)
    return


@pytest.mark.usefixtures("_ticking")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_speed_is_operations_over_seconds(dtype: str) -> None:
    assert operations_per_second(20, 30, 40, "cpu", dtype) == pytest.approx(2 * 20 * 30 * 40 / 0.1)


def test_more_rows_than_count_are_not_multiplied() -> None:
    assert 0 < operations_per_second(10**12, 8, 8, "cpu", "float32") < math.inf


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadSetting, match="the device 'nonsense' cannot be used here"):
        operations_per_second(8, 8, 8, "nonsense", "float32")
