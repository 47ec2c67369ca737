"""A run of the whole model in which activations at some places are noted, or others put in their place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.hooks import Hook, Site
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.transformer import Model

Change = Callable[[Tensor], Tensor]
"""From the activations at a place to those that take their place."""


def put(x: Float[Tensor, "batch pos _"]) -> Change:
    """The change that puts these activations in the place of others."""
    return lambda _: x


@dataclass(frozen=True)
class TappedRun:
    """What stood at each place that was asked for, after any change, and the residual stream after the last layer."""

    found: Mapping[Hook, Float[Tensor, "batch pos _"]]
    final: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class _Taps:
    """What is noted and changed during a run."""

    wanted: Collection[Hook]
    changes: Mapping[Hook, Change]
    found: dict[Hook, Tensor] = field(default_factory=dict)

    def at(self, site: Site, layer: int, x: Float[Tensor, "batch pos _"]) -> Float[Tensor, "batch pos _"]:
        """What stands there now."""
        hook = Hook(site, layer)
        if hook in self.changes:
            x = self.changes[hook](x)
        if hook in self.wanted:
            self.found[hook] = x
        return x


def check_place(model: Model, hook: Hook) -> None:
    """Make sure that a model has such a place.

    Raises: BadDictionary.
    """
    if hook.layer >= model.graph.n_layers:
        raise BadDictionary(
            f"the features are of {hook}, but the model has only {model.graph.n_layers} layers, from 0 on; use the "
            "model that they were made for"
        )
    if hook.site in ("mlp_in", "mlp_out") and model.layers[hook.layer].mlp is None:
        raise BadDictionary(f"the features are of {hook}, but the model has no MLPs; use the model they were made for")


def tapped_run(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    wanted: Collection[Hook],
    changes: Mapping[Hook, Change] | None = None,
) -> TappedRun:
    """Run the model on these tokens; what is changed at a place is what everything behind it reads.

    Raises: BadTokens, ModelChanged.
    """
    model.check(tokens)
    residual = model.embed(tokens)
    taps = _Taps(wanted, changes or {})
    for number, (layer, geometry) in enumerate(zip(model.layers, model.geometries(tokens.shape[1]), strict=True)):
        before = taps.at("resid_pre", number, residual)
        q, k, v = layer.make(before, geometry)[0].values()
        gathered = layer.attention.attend(q, k, v, geometry)
        side_by_side = taps.at("attn_z", number, gathered.permute(1, 2, 0, 3).flatten(2))
        attended = taps.at("attn_out", number, _attended(layer, side_by_side))
        between = taps.at("resid_mid", number, before + attended)
        residual = between
        if layer.mlp is not None:
            normed = taps.at("mlp_in", number, layer.mlp.norm(before if model.graph.parallel else between))
            residual = between + taps.at("mlp_out", number, layer.mlp.after_norm(normed))
        residual = taps.at("resid_post", number, residual)
    return TappedRun(taps.found, residual)


def _attended(layer: Layer, gathered: Float[Tensor, "batch pos values"]) -> Float[Tensor, "batch pos d_model"]:
    """What the heads of a layer write together, given the values that they gathered, side by side."""
    output = layer.attention.output
    heads, d_head, _ = output.weight.shape
    wrote = torch.einsum("bphk,hkd->bpd", gathered.view(*gathered.shape[:2], heads, d_head), output.weight)
    return (wrote if output.post_norm is None else output.post_norm(wrote)) + output.bias
