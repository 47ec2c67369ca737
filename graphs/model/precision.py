"""Running code of others in a precision that it did not choose: weights widened, float32 on the way replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def widened(parts: Iterable[Tensor], dtype: torch.dtype, rows: Int[Tensor, " row"] | None = None) -> Iterator[None]:
    """These weights in that precision, or only some rows of them; afterwards the very same memory as before."""
    kept = [(part, part.data) for part in parts if part.is_floating_point()]
    try:
        for part, data in kept:
            part.data = (data if rows is None else data[rows]).to(dtype)
        yield
    finally:
        for part, data in kept:
            part.data = data


class Wide(TorchFunctionMode):
    """A wider precision wherever code asks for float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.float:
            func, args = Tensor.to, (*args, self._dtype)
        wide = [self._dtype if value is torch.float32 else value for value in args]
        named = {name: self._dtype if value is torch.float32 else value for name, value in (kwargs or {}).items()}
        return func(*wide, **named)


def in_precision(value: Any, dtype: torch.dtype) -> Any:
    """Tensors in that precision, and those in a tuple; all else as it is."""
    if isinstance(value, tuple):
        return tuple(in_precision(each, dtype) for each in value)
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
