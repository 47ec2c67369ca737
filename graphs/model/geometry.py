"""Which positions a layer's attention reads and how it tells them apart, taken from what the model itself has of it.

So sliding windows, local and global frequencies, layers without rotation and whatever comes next need no rule here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from acdc.graphs.model.placement import moved
from acdc.graphs.model.precision import in_precision, widened

Rotation = tuple[Float[Tensor, "1 pos rotary"], Float[Tensor, "1 pos rotary"]]
Call = tuple[tuple[Any, ...], dict[str, Any]]

_CACHES = ("past_key_values", "past_key_value", "layer_past", "cache_position")
_ALIBI = ("alibi", "position_bias")


@dataclass(frozen=True)
class Geometry:
    """Where in the sequence queries sit and what they may see, for one layer.

    `rotation` holds the cosines and sines of rotary embedding, which turns the first half of the dimensions with the
    second, or neighbours with each other; `allowed` which keys each query may read. The batch axis is 1 when all
    prompts share them. `bias` is added to the scores that each head gives a key (ALiBi; what depends on the query alone
    cancels).
    """

    allowed: Bool[Tensor, "batch query key"]
    rotation: tuple[Float[Tensor, "batch query rotary"], Float[Tensor, "batch query rotary"]] | None = None
    neighbours: bool = False
    bias: Float[Tensor, "head key"] | None = None

    def at(self, positions: Int[Tensor, " prompt"]) -> Geometry:
        """The same for one query position per prompt."""
        rotation = self.rotation and (self.rotation[0][0, positions, None], self.rotation[1][0, positions, None])
        return replace(self, allowed=self.allowed[0, positions, None], rotation=rotation)

    def of(self, positions: Int[Tensor, " token"]) -> Geometry:
        """The same for queries at these positions, one after the other."""
        rotation = self.rotation and (self.rotation[0][:, positions], self.rotation[1][:, positions])
        return replace(self, allowed=self.allowed[:, positions], rotation=rotation)

    def first(self, end: int) -> Geometry:
        """The same for the first `end` positions of the sequence only."""
        rotation = self.rotation and (self.rotation[0][:, :end], self.rotation[1][:, :end])
        bias = None if self.bias is None else self.bias[:, :end]
        return replace(self, allowed=self.allowed[:, :end, :end], rotation=rotation, bias=bias)

    def since(self, start: int) -> Geometry:
        """The same for the queries from a position on; keys are those of the whole sequence."""
        rotation = self.rotation and (self.rotation[0][:, start:], self.rotation[1][:, start:])
        return replace(self, allowed=self.allowed[:, start:], rotation=rotation)

    def rows(self, queries: slice) -> tuple[Geometry, slice]:
        """The same for these queries, and from the first to the last key that any of them may read."""
        allowed = self.allowed[:, queries]
        read = allowed.flatten(0, 1).any(0).nonzero()
        keys = slice(int(read[0]), int(read[-1]) + 1) if len(read) else slice(None)
        bias = None if self.bias is None else self.bias[:, keys]
        return Geometry(allowed[..., keys], None, self.neighbours, bias), keys

    def to(self, dtype: torch.dtype) -> Geometry:
        """The same in another precision."""
        rotation = self.rotation and (self.rotation[0].to(dtype), self.rotation[1].to(dtype))
        return replace(self, rotation=rotation, bias=None if self.bias is None else self.bias.to(dtype))

    def rotate(self, x: Float[Tensor, "head *batch pos d_head"]) -> Float[Tensor, "head *batch pos d_head"]:
        """x turned by its position (Su et al. 2021); dimensions past the rotary ones stay."""
        if self.rotation is None:
            return x
        cos, sin = self.rotation
        turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
        if self.neighbours:
            across = torch.stack((-turned[..., 1::2], turned[..., ::2]), dim=-1).flatten(-2)
        else:
            first, second = turned.chunk(2, dim=-1)
            across = torch.cat((-second, first), dim=-1)
        turned = (turned * cos + across * sin).to(x.dtype)  # some models keep their tables in float32
        return torch.cat((turned, rest), dim=-1) if rest.shape[-1] else turned


def geometries_of(bridge: Any, length: int, causal: bool, turned: Sequence[bool]) -> tuple[Geometry, ...]:
    """Per layer, what each position of a sequence of that length may read, and what tells positions apart.

    `turned` says which layers make use of the rotation that they are handed, as `turned_layers` finds out.
    """
    home = bridge.embed.original_component.weight.device
    whole = torch.ones(length, length, dtype=torch.bool, device=home)
    lower = whole.tril() if causal else whole
    geometries: list[Geometry] = []
    masks: list[Tensor] = []  # each once, as long prompts make them large
    for block, (_, kwargs), used in zip(bridge.blocks, _attention_calls(bridge, length), turned, strict=True):
        inner = block.attn.original_component
        allowed = _allowed(inner, kwargs.get("attention_mask"), lower)
        known = next((mask for mask in masks if torch.equal(mask, allowed)), None)
        if known is None:
            masks.append(allowed)
        neighbours, rotation = turns_neighbours(inner), own_rotation(inner, length)
        if used:
            rotation = kwargs["position_embeddings"]
            rotation = _for_neighbours(rotation) if neighbours else rotation
        geometries.append(
            moved(
                Geometry(
                    (allowed if known is None else known)[None], rotation, neighbours, _alibi(inner, kwargs, length)
                ),
                home,
            )
        )
    return tuple(geometries)


def turned_layers(bridge: Any) -> tuple[bool, ...]:
    """Which layers turn queries and keys as the rotation that they are handed says: given one that is no number, what
    they write is none. SmolLM3, Cohere 2 and others leave some of their layers without.
    """
    turned = []
    for block, (args, kwargs) in zip(bridge.blocks, _attention_calls(bridge, 1), strict=True):
        turned.append(kwargs.get("position_embeddings") is not None and _is_turned(block.attn, args, kwargs))
    return tuple(turned)


def turns_neighbours(attention: nn.Module) -> bool:
    """Whether rotary embedding turns neighbouring dimensions with each other, by the function that the model calls.

    Otherwise, the first half of the rotary dimensions is turned with the second.
    """
    code = sys.modules[type(attention).__module__]
    turn = getattr(code, "rotate_half", None) or getattr(code, "rotate_every_two", None)
    if turn is None:
        return hasattr(attention, "rotary")  # TransformerLens's own models
    turned: Tensor = turn(torch.arange(1.0, 5.0).view(1, 1, 1, 4))
    return turned.flatten().tolist() == [-2.0, 1.0, -4.0, 3.0]


def own_rotation(attention: Any, length: int) -> Rotation | None:
    """The cosines and sines of an attention layer that keeps them itself; None for all others."""
    rotary, table = getattr(attention, "rotary", None), getattr(attention, "embed_positions", None)
    if rotary is not None:
        return rotary.cos_cached[None, :length], rotary.sin_cached[None, :length]
    if isinstance(table, Tensor):  # GPT-J: the sines and then the cosines of every position
        sin, cos = (part.repeat_interleave(2, dim=-1) for part in table[None, :length].chunk(2, dim=-1))
        return cos, sin
    return None


def _attention_calls(bridge: Any, length: int) -> list[Call]:
    """What each layer's attention is called with in a run of so many tokens, in which none of them is computed."""
    calls: list[Call] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, {name: value for name, value in kwargs.items() if name not in _CACHES}))
        return torch.zeros_like(args[0] if args else kwargs["hidden_states"]), None

    if not hasattr(bridge.original_model, "config"):  # TransformerLens's own models keep everything in their layers
        return [((), {}) for _ in bridge.blocks]
    with ExitStack() as stack, torch.no_grad():
        for block in bridge.blocks:
            object.__setattr__(block.attn, "forward", note)  # a bridge's own way would pass it on to what it bridges
            stack.callback(object.__delattr__, block.attn, "forward")
        bridge(torch.zeros(1, length, dtype=torch.long, device=bridge.embed.original_component.weight.device))
    return calls


def _allowed(attention: nn.Module, mask: Any, causal: Bool[Tensor, "pos pos"]) -> Bool[Tensor, "pos pos"]:
    """Which keys each query may read, by the mask that the layer is handed and by the one that it may keep."""
    length, allowed = len(causal), causal
    if isinstance(mask, Tensor) and mask.dim() == 4:
        handed = mask[0, 0, :length, :length].to(causal.device)
        read = handed if handed.dtype == torch.bool else handed > torch.finfo(handed.dtype).min / 2
        allowed = allowed & (read if read.diagonal().all() else ~read)  # MPT marks what may not be read
    kept = dict(attention.named_buffers(recurse=False)).get("bias")
    if kept is not None and kept.dtype == torch.bool and kept.dim() == 4:  # GPT-Neo's local layers
        allowed = allowed & kept[0, 0, :length, :length].to(causal.device)
    return allowed


def _is_turned(attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    nothing = tuple(torch.full_like(part, torch.nan, dtype=torch.float32) for part in kwargs["position_embeddings"])
    named = {name: in_precision(value, torch.float32) for name, value in kwargs.items()}
    # in float32, as some bridges cannot run in half precision
    with torch.no_grad(), widened([*attention.parameters(), *attention.buffers()], torch.float32):
        wrote = attention(
            *(in_precision(value, torch.float32) for value in args), **{**named, "position_embeddings": nothing}
        )
    return bool((wrote if isinstance(wrote, Tensor) else wrote[0]).isnan().any())


def _for_neighbours(rotation: Rotation) -> Rotation:
    """The tables with one number twice in a row for each pair; some models hand them as for halves and reorder them."""
    cos, sin = rotation
    if all(torch.equal(part[..., ::2], part[..., 1::2]) for part in (cos, sin)):
        return cos, sin
    cos, sin = (part[..., : part.shape[-1] // 2].repeat_interleave(2, dim=-1) for part in rotation)
    return cos, sin


def _alibi(attention: Any, kwargs: dict[str, Any], length: int) -> Float[Tensor, "head key"] | None:
    """What is added to the scores of each key, head by head, as far as it does not depend on the query."""
    handed = next((kwargs[name] for name in _ALIBI if isinstance(kwargs.get(name), Tensor)), None)
    if handed is None:
        return None
    bias: Tensor = handed.reshape(-1, handed.shape[-1])[:, -length:]
    return bias * getattr(attention, "beta", 1.0)
