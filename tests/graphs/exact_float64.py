"""Keep a Hugging Face model that was loaded in float64 in float64: undo its casts to float32, for exactness tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge


@contextmanager
def exact_float64(bridge: TransformerBridge) -> Iterator[None]:
    """Compute in float64 what layers and the final norm compute in float32 whatever the dtype: norms, softmaxes.

    What is computed before the layers is left alone: cosines of rotary embeddings and the slopes of ALiBi are rounded
    to float32, and that is what the model is given.
    """
    casting = [module for module in bridge.original_model.modules() if "Norm" in type(module).__name__]
    casting += [module for module in bridge.original_model.modules() if type(module).__name__.endswith("Router")]
    casting += [block.attn for block in bridge.blocks if _casts(block.attn)]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(AttentionBridge, "_masked_softmax", _softmax))
        for module in casting:
            object.__setattr__(module, "forward", _exact(module.forward))  # a bridge's own way would pass it on
            stack.callback(object.__delattr__, module, "forward")
        yield


def _casts(attention: AttentionBridge) -> bool:
    """Whether attention casts elsewhere than in the bridge's softmax: in code of its own, or as it rotates (Cohere)."""
    name = type(attention.original_component).__name__
    return not attention.supports_attn_result or name.startswith(("Bloom", "CodeGen", "Cohere", "Ernie", "Glm", "Mpt"))


def _softmax(attention: AttentionBridge, scores: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    assert scores.dtype == torch.float64
    return scores.softmax(dim=-1)


def _exact(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with _InFloat64():
            return forward(*args, **kwargs)

    return run


class _InFloat64(TorchFunctionMode):
    """Whoever asks for float32 gets float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.float:
            return args[0].double()
        args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
        kwargs = {key: torch.float64 if arg is torch.float32 else arg for key, arg in (kwargs or {}).items()}
        return func(*args, **kwargs)
