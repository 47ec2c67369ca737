"""What a model as its authors wrote it computes, layer by layer, from residual streams that we choose.

Weights are widened one layer at a time, and what the code does in float32 inside (norms, softmaxes) is widened too, so
that the numbers are exact whatever precision the model is to be used in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from acdc.graphs.errors import UnsupportedModel
from acdc.graphs.model.precision import Wide, in_precision, widened

_ATTENTION = ("attn", "attention", "self_attn", "self_attention")
"""What layers call their attention."""

_MLP = ("mlp", "feed_forward", "ffn", "fc2")
"""What layers call their MLP, or the last part of it if it is no module of its own."""


@dataclass(frozen=True)
class Original:
    """A model to be recorded: how to call it on tokens, its layers in order, its last linear map, and all of it."""

    call: Callable[[Tensor], Any]
    layers: Sequence[nn.Module]
    head: nn.Module
    whole: nn.Module

    @classmethod
    def of(cls, model: Any) -> Original:
        """A model of transformers, not yet bridged."""
        decoder = model.get_decoder()
        layers = next((child for child in decoder.children() if isinstance(child, nn.ModuleList)), None)
        if layers is None:
            raise UnsupportedModel(f"{type(model).__name__} has no list of layers; wanted a decoder-only transformer")
        return cls(model, tuple(layers), model.get_output_embeddings(), model)

    @classmethod
    def bridged(cls, bridge: Any) -> Original:
        """The model inside a bridge, as the bridge runs it."""
        return cls(bridge, tuple(bridge.blocks), bridge.unembed.original_component, bridge.original_model)


@dataclass(frozen=True)
class RecordedOutputs:
    """What a layer makes of the residual stream: its attention and its MLP before any post norm, and the sum."""

    attention: Float[Tensor, "batch pos d_model"]
    mlp: Float[Tensor, "batch pos d_model"] | None
    after: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class CheckInputs:
    """Tokens, the residual streams that every layer and the final norm read instead of what came before them, and the
    rows of the unembedding whose logits are computed. The residual streams' precision is that of the recording.
    """

    tokens: Int[Tensor, "batch pos"]
    residual: Float[Tensor, "batch pos d_model"]
    rows: Int[Tensor, " row"]


@dataclass(frozen=True)
class Recording:
    """What came of the inputs: the embeddings in the model's own precision, all else in the inputs'."""

    embedded: Float[Tensor, "batch pos d_model"]
    layers: tuple[RecordedOutputs, ...]
    logits: Float[Tensor, "batch pos row"]


def record(original: Original, inputs: CheckInputs) -> Recording:
    """One run of the model on these inputs; it is left as it was.

    Raises: UnsupportedModel when a layer reads something else than what the one before it made.
    """
    run = _RecordedRun(inputs)
    with torch.no_grad(), run.stack:
        for layer in original.layers:
            run.watch(layer)
        run.watch_end(original)
        answer = original.call(inputs.tokens)
    logits = answer if isinstance(answer, Tensor) else answer.logits
    assert run.embedded is not None
    return Recording(run.embedded, tuple(run.layers), logits)


class _RecordedRun:
    """The hooks of one recording; closing `stack` removes them and puts back whatever they have widened."""

    def __init__(self, inputs: CheckInputs) -> None:
        self.inputs, self.stack = inputs, ExitStack()
        self.embedded: Tensor | None = None
        self.layers: list[RecordedOutputs] = []
        self._watched: list[nn.Module] = []
        self._wrote: dict[str, Tensor] = {}
        self._dtype = inputs.residual.dtype
        self._wide = self.stack.enter_context(ExitStack())

    def watch(self, layer: nn.Module) -> None:
        """Have a layer read the chosen residual streams, and note what it writes."""
        attention, mlp = (
            next((getattr(layer, name) for name in names if hasattr(layer, name)), None) for names in (_ATTENTION, _MLP)
        )
        if attention is None:
            raise UnsupportedModel(
                f"layer {len(self._watched)} of the model, {type(layer).__name__}, has no attention; wanted a "
                "transformer with attention in every layer"
            )
        self._watched.append(layer)
        for name, part in (("attention", attention), ("mlp", mlp)):
            if part is not None:
                self.stack.callback(part.register_forward_hook(self._noted(name), with_kwargs=True).remove)
        self.stack.callback(layer.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
        self.stack.callback(layer.register_forward_hook(self._leave).remove)

    def watch_end(self, original: Original) -> None:
        """Widen what follows the last layer, the unembedding only in the chosen rows."""
        head = [part for part in (original.head.weight, original.head.bias) if isinstance(part, Tensor)]
        others = {id(part) for layer in original.layers for part in layer.parameters()}.union(map(id, head))
        norms = [part for part in original.whole.parameters() if part.ndim == 1 and id(part) not in others]

        def past_layers(*_: Any) -> None:
            self._widen(norms)

        def unembedding(*_: Any) -> None:
            self._wide.enter_context(widened(head, self._dtype, self.inputs.rows))

        self.stack.callback(original.layers[-1].register_forward_hook(past_layers).remove)
        self.stack.callback(original.head.register_forward_pre_hook(unembedding).remove)

    def _enter(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self.embedded is None:
            self.embedded = args[0].clone()
        elif not torch.equal(args[0], self.inputs.residual):
            raise UnsupportedModel(
                f"{type(layer).__name__} does not read what the layer before it wrote; that is not supported"
            )
        self._widen([*layer.parameters(), *layer.buffers()])
        others = (in_precision(value, self._dtype) for value in args[1:])
        named = {name: in_precision(value, self._dtype) for name, value in kwargs.items()}
        return (self.inputs.residual, *others), named

    def _widen(self, parts: Iterable[Tensor]) -> None:
        self._wide.enter_context(widened(parts, self._dtype))
        # Not around the whole run: the model makes its rotations in its own precision, and so they stay.
        self._wide.enter_context(Wide(self._dtype))

    def _leave(self, layer: nn.Module, args: Any, output: Any) -> Any:
        self._wide.close()
        wrote, self._wrote = self._wrote, {}
        self.layers.append(RecordedOutputs(wrote["attention"], wrote.get("mlp"), _first(output)))
        return self.inputs.residual if isinstance(output, Tensor) else (self.inputs.residual, *output[1:])

    def _noted(self, name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            wrote, added = _first(output), _added(module, args, kwargs)
            # a copy, since some add to it in place
            wrote = wrote.clone() if added is None else wrote - added
            self._wrote[name] = wrote.view(self.inputs.residual.shape)

        return note


def _added(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The residual stream, where a part is given it to add it to what it writes (Bloom)."""
    signature = inspect.signature(getattr(module, "original_component", module).forward)
    return signature.bind(*args, **kwargs).arguments["residual"] if "residual" in signature.parameters else None


def _first(output: Any) -> Tensor:
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found
