"""Whether our arithmetic is the original's: every layer and the end of both, in float64, on the same residual streams.

What remains is rounding of float64 whatever precision the model will be used in, so a wrong epsilon shows in bfloat16
as in float32. Residual streams of very different sizes are tried, since an epsilon only matters in small ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.errors import UnsupportedModel
from acdc.graphs.model.extraction import layer_of, residual_scale, unembedding_of
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.parts import Norm
from acdc.graphs.model.precision import widened
from acdc.graphs.model.recording import CheckInputs, RecordedOutputs, Recording
from acdc.graphs.model.transformer import Model
from acdc.graphs.model.unusual import possible_reasons

_SIZES = (1e-6, 1e-3, 1.0, 1e3)
"""How large the numbers of the residual streams are, one prompt each."""

_TOKENS = 8
_ROWS = 4096
"""How many logits are compared: all of a small vocabulary, evenly spaced ones of a large."""

_ALLOWED = {torch.float64: 1e-6, torch.float32: 1e-3}
"""How far ours may be from the original's, as a fraction of the largest number in it: thousands of times what rounding
explains. What terms of the residual stream's size cancel to is compared with this fraction of them. Float32 is for
devices that have no float64."""


def inputs_for(vocabulary: int, weight: Float[Tensor, "vocab d_model"], context: int | None) -> CheckInputs:
    """Random inputs for a model that knows so many tokens and has this unembedding."""
    generator = torch.Generator().manual_seed(0)
    shape = len(_SIZES), min(_TOKENS, context or _TOKENS)
    tokens = torch.randint(vocabulary, shape, generator=generator)
    noise = torch.randn(*shape, weight.shape[1], generator=generator, dtype=torch.float64)
    residual = noise * torch.tensor(_SIZES, dtype=torch.float64)[:, None, None]
    residual = residual.to(torch.float32 if weight.device.type == "mps" else torch.float64)
    rows = torch.linspace(0, len(weight) - 1, min(len(weight), _ROWS), dtype=torch.float64).long()
    return CheckInputs(*(part.to(weight.device) for part in (tokens, residual, rows)))


def check(model: Model, inputs: CheckInputs, wanted: Recording) -> None:
    """Compare what the model of ours computes with what the original did.

    Raises: UnsupportedModel, naming the part that differs.
    """
    with torch.no_grad():
        comparison = _Comparison(model, inputs.residual)
        embedded, precision = model.embed(inputs.tokens), torch.finfo(model.dtype).eps
        comparison.check("embedding", embedded, wanted.embedded, allowed=8 * precision)
        for index, geometry in enumerate(model.geometries(inputs.tokens.shape[1])):
            _check_layer(model, index, geometry.to(inputs.residual.dtype), wanted.layers[index], comparison)
        with widened(model.bridge.ln_final.parameters(), inputs.residual.dtype):
            end = unembedding_of(model.bridge)
            weight, bias = end.weight[inputs.rows], None if end.bias is None else end.bias[inputs.rows]
            bias = None if bias is None else bias.to(inputs.residual)
            logits = replace(end, weight=weight.to(inputs.residual), bias=bias)(inputs.residual)
            comparison.check("unembedding", logits, wanted.logits)
        if not model.unembedding(model.final(inputs.tokens[:1])[:, -1]).isfinite().all():
            raise UnsupportedModel(
                f"the logits of {model.identity.name} are not finite in {model.dtype}; load it in a wider precision"
            )


def _check_layer(
    model: Model, index: int, geometry: Geometry, wanted: RecordedOutputs, comparison: _Comparison
) -> None:
    block = model.bridge.blocks[index]
    with widened([*block.parameters(), *block.buffers()], comparison.residual.dtype):
        start = comparison.residual
        layer = layer_of(block).beside(start.device)
        wrote, _ = layer.attend(start, geometry)
        attention = wrote.sum(0) + layer.attention.output.bias
        comparison.check("attention", attention, residual_scale(block) * wanted.attention, layer=index)
        post = layer.attention.output.post_norm
        after = start + (attention if post is None else post(attention))
        if layer.mlp is not None:
            read = start if model.graph.parallel else after
            if wanted.mlp is not None:
                raw = replace(layer.mlp, post_norm=Norm("none"), scale=1.0)
                comparison.check("MLP", raw(read), wanted.mlp, layer=index)
            after = after + layer.mlp(read)
        comparison.check("change of the residual stream", after - start, wanted.after - start, layer=index)


@dataclass(frozen=True)
class _Comparison:
    """Comparing what two ways of computing a model make of `residual`."""

    model: Model
    residual: Float[Tensor, "batch pos d_model"]

    def check(
        self,
        what: str,
        ours: Float[Tensor, "batch pos _"],
        wanted: Float[Tensor, "batch pos _"],
        allowed: float | None = None,
        layer: int | None = None,
    ) -> None:
        """Refuse the model if ours is not the other, by the largest difference in each prompt."""
        rounding = _ALLOWED[self.residual.dtype]
        allowed = rounding if allowed is None else allowed
        ours, wanted = ours.to(self.residual), wanted.to(self.residual)
        size = wanted.abs().amax((1, 2)).maximum(rounding * self.residual.abs().amax((1, 2)))
        apart = ((ours - wanted).abs().amax((1, 2)) / size).max().item()
        if not apart <= allowed:
            where = what if layer is None else f"{what} of layer {layer}"
            reasons = possible_reasons(self.model.bridge, layer)
            raise UnsupportedModel(
                f"our {where} of {self.model.identity.name} differs from the model's own by {apart:.2g} of its size "
                f"where at most {allowed:.2g} is rounding, so no result would be about this model; load another"
                f"{'; ' * bool(reasons)}{reasons}"
            )
