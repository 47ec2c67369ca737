"""Which device each layer's matrices are on, and how they meet activations, which are all on the first device.

A layer's linear maps are computed where their matrices are: activations go there and what is made of them comes back.
Matrices that are on the CPU while the activations are on another device are too many for it: each comes to the
activations for the time of its product. Everything else is computed on the first device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from acdc.graphs.errors import BadDevices

AUTO = "auto"
"""Every GPU of this machine, as many layers on each as fit, and the others on the CPU."""
_ROOM = 0.7
"""The part of a GPU's free memory that is for weights: what is run needs the rest."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Placement:
    """The device of each layer's matrices; `home` is that of all else.

    Raises: BadDevices when there are more devices than layers.
    """

    home: torch.device
    layers: tuple[torch.device, ...]

    @classmethod
    def evenly(cls, devices: Sequence[torch.device], n_layers: int) -> Placement:
        """As many layers on each device as on any other, or one more, those next to each other together."""
        if len(devices) > n_layers:
            raise BadDevices(
                f"{len(devices)} devices are more than the model's {n_layers} layers, of which each is on one; "
                f"give at most {n_layers}"
            )
        return cls(devices[0], tuple(devices[index * len(devices) // n_layers] for index in range(n_layers)))

    @classmethod
    def fitting(cls, original: Any, layers: Sequence[nn.Module]) -> Placement:
        """As many layers on each GPU as its free memory has room for, in their order, the others on the CPU.

        What is in no layer, embedding and unembedding say, is on the first.
        """
        from accelerate import infer_auto_device_map

        gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
        if not gpus:
            return cls.evenly([torch.device("cpu")], len(layers))
        room: dict[int | str, int | str] = {
            index: int(_ROOM * torch.cuda.mem_get_info(gpu)[0]) for index, gpu in enumerate(gpus)
        }
        inside = sum(map(_bytes, layers))
        room[0] = max(0, int(room[0]) - (_bytes(original) - inside))
        stack = nn.ModuleList(layers)
        kinds = list({type(layer).__name__ for layer in layers})
        found = infer_auto_device_map(stack, {**room, "cpu": 2 * inside}, no_split_module_classes=kinds)
        where = [found.get("", found.get(str(index), "cpu")) for index in range(len(layers))]
        return cls(gpus[0], tuple(gpus[each] if isinstance(each, int) else torch.device("cpu") for each in where))

    def place(self, original: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Move the weights of a model that is on the CPU, layer by layer, and have it run as it did before.

        Its own code, which our arithmetic is compared with, runs each layer on the layer's device.
        """
        from accelerate.hooks import AlignDevicesHook, add_hook_to_module

        for layer, device in zip(layers, self.layers, strict=True):
            layer.to(device)
            if device != self.home:
                add_hook_to_module(layer, AlignDevicesHook(device, io_same_device=True))
        inside = {id(module) for layer in layers for module in layer.modules()}
        for module in original.modules():
            if id(module) not in inside:
                module._apply(lambda tensor: tensor.to(self.home), recurse=False)  # type: ignore[no-untyped-call]


def devices_of(named: str | torch.device) -> tuple[torch.device, ...] | None:
    """The devices of these names, with commas between them; None for `auto`.

    Raises: BadDevices for one that is there twice, and for a name that is none.
    """
    if isinstance(named, torch.device):
        return (named,)
    if named == AUTO:
        return None
    names = [name.strip() for name in named.split(",")]
    try:
        found = [torch.device(name) for name in names]
    except RuntimeError as error:
        raise BadDevices(f"the device '{named}' cannot be used here ({error}); try --device cpu") from error
    if twice := next((str(device) for device in found if found.count(device) > 1), None):
        raise BadDevices(f"the device {twice} is there twice in {named!r}; name each once")
    return tuple(found)


def beside(there: torch.device, x: Tensor, compute: Callable[[Tensor, torch.device], Tensor]) -> Tensor:
    """What `compute` makes of x with weights that are `there`, on x's device.

    It is told on which device to compute: there, or on x's own if the weights are only kept on the CPU; these are got
    again for a gradient, so that not all layers' are held until it is taken.
    """
    here = x.device
    if there == here:
        return compute(x, here)
    if there.type != "cpu":
        return compute(x.to(there), there).to(here)
    if torch.is_grad_enabled() and x.requires_grad:
        made: Tensor = checkpoint(compute, x, here, use_reentrant=False)
        return made
    return compute(x, here)


def moved(value: Value, device: torch.device, but: Sequence[str] = ()) -> Value:
    """A value with every tensor in it on that device, those aside that it has under a name among `but`."""
    other: Any = value
    if isinstance(value, Tensor):
        other = value.to(device)
    elif isinstance(value, tuple):
        other = tuple(moved(each, device, but) for each in value)
    elif is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value) if each.name not in but]
        other = replace(value, **{name: moved(getattr(value, name), device, but) for name in names})
    return other  # type: ignore[no-any-return]  # which is what the value was


def _bytes(module: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())
