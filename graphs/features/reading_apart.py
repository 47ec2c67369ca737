"""What parts of an MLP write that read for themselves: each its share of what the MLP makes of the part's own input.

Where a part needs only its own row of a matrix, only that row is multiplied: a neuron its row of the weights, unless a
norm spans neurons, and a transcoder's feature its row of the encoder. A feature of what the MLP writes needs the MLP at
its own input first; one whose activation depends on others (top k) needs those too, as do `rest` and `error`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.mlp import FeedForward, Mlp

_AT_ONCE = 1 << 22
"""About how many numbers of residual streams an MLP is given at once; on the way it makes several times as many."""


def neurons_apart(
    mlp: Mlp,
    directions: Float[Tensor, "neuron d_model"],
    residuals: Float[Tensor, "input *batch d_model"],
    neurons: Int[Tensor, " chosen"],
    inputs: Int[Tensor, " chosen"],
    rules: BackwardRules,
) -> Float[Tensor, "chosen *batch d_model"]:
    """What chosen neurons of an MLP add, each given the residual stream that `inputs` says."""
    assert isinstance(mlp.inner, FeedForward)
    normed = mlp.norm(residuals, rules)
    if mlp.post_norm.kind == "none":
        active = mlp.inner.neurons_apart(normed, neurons, inputs, rules)
    else:  # whose scale depends on all neurons
        scale = replace(mlp.post_norm, weight=None).scale(mlp.inner(normed, rules))[..., :1]
        every = mlp.inner.neurons(normed, rules) * (scale.detach() if rules.freezes_norms else scale)
        active = every[inputs, ..., neurons]
    return torch.einsum("c...,cd->c...d", active, directions[neurons])


def features_apart(
    mlp: Mlp,
    dictionary: Dictionary,
    residuals: Float[Tensor, "input *batch d_model"],
    features: Int[Tensor, " chosen"],
    inputs: Int[Tensor, " chosen"],
    rules: BackwardRules,
) -> Float[Tensor, "chosen *batch d_model"]:
    """What chosen features of a dictionary of what an MLP writes add, each given the stream that `inputs` says."""
    used, inputs = torch.unique(inputs, return_inverse=True)
    own = residuals if len(used) == len(residuals) else residuals[used]
    read = _read(mlp, dictionary, own, rules)
    active = dictionary.encode_apart(read, features, inputs) * dictionary.scale(read)[inputs, ..., 0]
    return torch.einsum("c...,cd->c...d", active, dictionary.decoder.weight[features])


def remainders_apart(
    mlp: Mlp,
    dictionary: Dictionary,
    chosen: Int[Tensor, " feature"],
    residuals: Float[Tensor, "input *batch d_model"],
    rules: BackwardRules,
) -> tuple[Float[Tensor, "input *batch d_model"], Float[Tensor, "input *batch d_model"]]:
    """Of each residual stream, what the features that are not chosen add to it, and what no feature says."""
    read = _read(mlp, dictionary, residuals, rules)
    wrote = read if dictionary.reads.site == "mlp_out" else _wrote(mlp, residuals, rules)
    active, weight = dictionary.encode(read) * dictionary.scale(read), dictionary.decoder.weight
    return active.index_fill(-1, chosen, 0) @ weight, wrote - active @ weight


def _read(
    mlp: Mlp, dictionary: Dictionary, residuals: Float[Tensor, "input *batch d_model"], rules: BackwardRules
) -> Float[Tensor, "input *batch d_model"]:
    """What stands where the dictionary reads."""
    match dictionary.reads.site:
        case "mlp_out":
            return _wrote(mlp, residuals, rules)
        case "mlp_in":
            return mlp.norm(residuals, rules)
        case _:
            return residuals


def _wrote(
    mlp: Mlp, residuals: Float[Tensor, "input *batch d_model"], rules: BackwardRules
) -> Float[Tensor, "input *batch d_model"]:
    """What the whole MLP writes of each, some at a time."""
    at_once = max(1, _AT_ONCE // max(1, residuals[0].numel()))
    if len(residuals) <= at_once:
        return mlp(residuals, rules)
    return torch.cat([mlp(some, rules) for some in torch.split(residuals, at_once)])
