"""How fast a device multiplies matrices of a model's own shapes: a fraction of a second of doing it."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS = 0.2
_ROWS = 512
"""More rows than this are no faster by the row."""


def operations_per_second(rows: int, inner: int, columns: int, device: str, dtype: str) -> float:
    """The operations per second of a linear map of [rows, inner] by [columns, inner], as fast as a quarter of them are.

    On a CPU in single or double precision NumPy multiplies, which is as fast as torch there and loads in no time.

    Raises: BadSetting for a device that this machine lacks.
    """
    rows = min(rows, _ROWS)
    numpys = device == "cpu" and dtype in ("float32", "float64")
    multiply = _by_numpy(rows, inner, columns, dtype) if numpys else _by_torch(rows, inner, columns, device, dtype)
    multiply()  # the first time everything is got ready
    spent: list[float] = []
    while sum(spent) < _SECONDS or len(spent) < 3:
        began = time.perf_counter()
        multiply()
        spent.append(time.perf_counter() - began)
    return 2.0 * rows * inner * columns / sorted(spent)[len(spent) // 4]


def _by_numpy(rows: int, inner: int, columns: int, dtype: str) -> Callable[[], object]:
    import numpy

    left, right = (numpy.ones(shape, dtype) for shape in ((rows, inner), (columns, inner)))
    return lambda: left @ right.T


def _by_torch(rows: int, inner: int, columns: int, device: str, dtype: str) -> Callable[[], object]:
    import torch

    from acdc.models import check_device

    check_device(device)
    left, right = (
        torch.ones(shape, device=device, dtype=getattr(torch, dtype)) for shape in ((rows, inner), (columns, inner))
    )

    def multiply() -> None:
        product = left @ right.T
        _ = float(product[0, 0])  # waits for the device

    return multiply
