"""Whether a bridge is still what it was when the parts were taken from it: its weights, its hooks, its dropout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NoReturn

from torch import Tensor, nn

from acdc.graphs.errors import ModelChanged
from acdc.graphs.model.extraction import layer_of, unembedding_of
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.unembedding import Unembedding


@dataclass
class _Weight:
    """A weight where it hangs in its module, and what was seen of it last: its address, and how often it was written to
    as far as PyTorch counts.
    """

    holder: dict[str, nn.Parameter | None]
    key: str
    name: str
    parameter: nn.Parameter
    address: int
    version: int


class ChangeWatch:
    """What a bridge was at first; `check` costs microseconds, so that it can stand before every run.

    Only weights that were written to through `.data`, past all of PyTorch's bookkeeping, go unseen.
    """

    def __init__(self, bridge: Any, layers: Sequence[Layer], unembedding: Unembedding) -> None:
        self._bridge, self._parts = bridge, (layers, unembedding)
        self.edits = 0
        modules = {id(module): module for each in (bridge.original_model, bridge) for module in each.modules()}
        self._hooks = [
            (hooks, module)
            for module in modules.values()
            for hooks in (module._forward_hooks, module._forward_pre_hooks)
        ]
        self._dropouts = [
            (module, "p" if isinstance(module, nn.Dropout) else "attention_dropout")
            for module in modules.values()
            if isinstance(module, nn.Dropout) or isinstance(getattr(module, "attention_dropout", None), int | float)
        ]
        self._weights = [
            _Weight(module._parameters, key, f"{path}.{key}", weight, weight.data_ptr(), weight._version)
            for path, module in bridge.original_model.named_modules()
            for key, weight in module._parameters.items()
            if weight is not None
        ]

    def check(self) -> None:
        """Refuse a bridge that would not compute any more what our parts compute.

        Weights that the bridge and our parts share may be edited in place; `edits` counts how often that was seen.

        Raises: ModelChanged.
        """
        for module, rate in self._dropouts:
            if module.training and getattr(module, rate):
                raise ModelChanged(
                    f"dropout of {getattr(module, rate)} is switched on in {type(module).__name__}, so no two runs "
                    "would agree; call eval() on the bridge or the model in it"
                )
        for hooks, module in self._hooks:
            if hooks:
                self._check_hooks(hooks, module)
        replaced, edited = [], []
        for weight in self._weights:
            if weight.holder.get(weight.key) is not weight.parameter or weight.parameter.data_ptr() != weight.address:
                replaced.append(weight)
            elif weight.parameter._version != weight.version:
                edited.append(weight)
        if replaced:
            _refuse(replaced[0].name)
        if edited:
            self._check_edits(edited)

    def _check_hooks(self, hooks: dict[int, Any], module: nn.Module) -> None:
        from transformer_lens.hook_points import HookPoint

        if isinstance(module, HookPoint):  # all are TransformerLens's; it says who asked for them
            handles = [handle for handle in module.fwd_hooks if handle.hook.id in hooks and handle.is_permanent]
            hooks = hooks | {handle.hook.id: handle.user_hook for handle in handles}
        for hook in hooks.values():
            own = (getattr(hook, "__module__", None) or "").startswith(
                ("transformer_lens.model_bridge.", "transformers.")
            )
            if not own:
                names = (name for name, other in self._bridge.named_modules() if other is module)
                where = _plain(next(names, type(module).__name__))
                raise ModelChanged(
                    f"there is a hook on {where}, but circuits are run without it; remove it (reset_hooks() of the "
                    "bridge removes those of TransformerLens)"
                )

    def _check_edits(self, edited: list[_Weight]) -> None:
        layers, unembedding = self._parts
        embeddings = (getattr(self._bridge, name, None) for name in ("embed", "pos_embed"))
        shared = {_memory(tensor) for tensor in _tensors((layers, unembedding))}
        shared.update(_memory(weight) for module in embeddings if module is not None for weight in module.parameters())
        for weight in edited:
            if _memory(weight.parameter) not in shared:
                _refuse(weight.name)
        home = unembedding.weight.device
        fresh = [layer_of(block).beside(home) for block in self._bridge.blocks], unembedding_of(self._bridge)
        for ours, now in zip(_tensors((layers, unembedding)), _tensors(fresh), strict=True):
            if not ((ours == now) | (ours.isnan() & now.isnan())).all():
                _refuse(edited[0].name)
        for weight in edited:
            weight.version = weight.parameter._version
        self.edits += 1


def _refuse(name: str) -> NoReturn:
    raise ModelChanged(
        f"the weight {_plain(name)} was edited after the model was loaded, and circuits "
        "would still be run with a copy of the old one; take the model anew with from_bridge"
    )


def _plain(name: str) -> str:
    """A module's name without what bridges put in between."""
    return name.replace("._original_component", "")


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(part: Any) -> Iterator[Tensor]:
    """All tensors of a value and of what it is made of."""
    if isinstance(part, Tensor):
        yield part
    elif is_dataclass(part):
        for each in fields(part):
            yield from _tensors(getattr(part, each.name))
    elif isinstance(part, tuple | list):
        for each in part:
            yield from _tensors(each)
