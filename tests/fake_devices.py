"""Devices that this machine lacks, imitated on its CPU: what is on different ones cannot meet, as on real ones.

The numbers are the CPU's. So what a program finds on several of them must be what it finds on one, to the last bit; and
where it forgets to move a tensor, it fails as it would there.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, final

import pytest
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakIdKeyDictionary

CPU = torch.device("cpu")
_ASKS_FOR_DEVICE = Tensor.device.__get__  # type: ignore[attr-defined]
_SETS_DATA = Tensor.data.__set__  # type: ignore[attr-defined]
_INDEXES = (Tensor.__getitem__, Tensor.__setitem__)
_ANYWHERE = (torch._has_compatible_shallow_copy_type,)


@final
class FakeDevices(TorchFunctionMode):
    """Inside, tensors can be moved to devices of the type `xpu`, and `moves` counts from where to where they were."""

    def __init__(self) -> None:
        super().__init__()
        self._where: Any = WeakIdKeyDictionary()
        self.moves: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> FakeDevices:
        make, run_backward = nn.Parameter.__new__, torch.autograd._engine_run_backward

        def made(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
            parameter = make(cls, data, requires_grad)
            if isinstance(data, Tensor):
                self._where[parameter] = self.of(data)
            return parameter

        def backward(*args: Any, **kwargs: Any) -> Any:
            super(FakeDevices, self).__enter__()
            try:
                return run_backward(*args, **kwargs)
            finally:
                super(FakeDevices, self).__exit__(None, None, None)

        self._undo = pytest.MonkeyPatch()
        self._undo.setattr(nn.Parameter, "__new__", made)  # which torch does not ask modes about
        self._undo.setattr(torch.autograd, "_engine_run_backward", backward)  # where what is run again asks none
        same = "default", lambda x: {"shape": x.shape, "dtype": x.dtype}  # saved tensors do not know where they are
        self._undo.setitem(torch.utils.checkpoint._allowed_determinism_checks_to_fns, *same)
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._undo.undo()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func == _ASKS_FOR_DEVICE:
            return self.of(args[0])
        if func == _SETS_DATA:
            self._where[args[0]] = self.of(args[1])
            return func(*args)
        if func in _ANYWHERE:
            return func(*args)
        if func in (Tensor.to, Tensor.cpu):
            return self._moved(func, args, kwargs)
        if func is Tensor.numpy and self.of(args[0]) != CPU:
            raise TypeError("can't convert a tensor of another device to numpy; use Tensor.cpu() first")
        tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        wanted = kwargs.get("device")
        if wanted is not None:
            kwargs["device"] = CPU
            return self._put(func(*args, **kwargs), torch.device(wanted))
        where = self._common(func, args, tensors)
        return self._put(func(*args, **kwargs), where)

    def of(self, tensor: Tensor) -> torch.device:
        """The device that a tensor is on."""
        where: torch.device = self._where.get(tensor, CPU)
        return where

    def _common(self, func: Any, args: tuple[Any, ...], tensors: list[Tensor]) -> torch.device:
        """Where a function's arguments are together.

        Raises: RuntimeError, as torch does.
        """
        if func in _INDEXES:  # whose indices may be on the CPU
            tensors = [each for each in tensors if each is args[0] or self.of(each) != CPU]
        met = {self.of(each) for each in tensors if each.dim()} or {self.of(each) for each in tensors}
        if len(met) > 1:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found {' and '.join(map(str, met))} in {func}"
            )
        return next(iter(met), CPU)

    def _moved(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        tensor, before = args[0], self.of(args[0])
        after, rest = before if func is Tensor.to else CPU, []
        for each in args[1:]:
            if isinstance(each, str | torch.device):
                after = torch.device(each)
            elif isinstance(each, Tensor):
                after = self.of(each)
                rest.append(each.dtype)
            elif each is not None:
                rest.append(each)
        if (wanted := kwargs.pop("device", None)) is not None:
            after = torch.device(wanted)
        kwargs.pop("non_blocking", None)
        rest = [each for each in rest if not isinstance(each, bool)]
        moved: Tensor = Tensor.to(tensor, *rest, **kwargs) if rest or kwargs else tensor
        if after != before:
            self.moves[str(before), str(after)] += 1
            moved = moved.clone() if moved is tensor else moved
            self._where[moved] = after
        elif moved is not tensor:
            self._where[moved] = before
        return moved

    def _put(self, made: Any, where: torch.device) -> Any:
        for each in tree_flatten(made)[0]:
            if isinstance(each, Tensor):
                self._where[each] = where
        return made
