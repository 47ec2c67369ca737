"""Whether a dictionary fits a model: how well it says what stands at its place, measured on prompts.

Weights of the right shape at the wrong place, read with the wrong activation or of another checkpoint, load without a
complaint; only that they explain nothing gives them away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.graphs.errors import BadDictionary
from acdc.graphs.execution.runs import TokenPairs
from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.features.tapped_run import check_place, put, tapped_run
from acdc.graphs.model.transformer import Model

LEAST = 0.5
"""A dictionary that explains less of the variance than this is refused; published ones explain .6 and more.

At the residual stream behind the right place, of which that is a part, one may explain as much as .6.
"""
_SOME = 1e-6
"""A KL divergence, in nats, below which putting the mean in changes nothing that could be recovered."""


@dataclass(frozen=True)
class Fit:
    """How well a dictionary says what stands where it writes, on the clean and corrupt prompts up to where they are
    scored; the first token, at which activations often are of another size, is left out where there are others.

    `explained` is the part of the variance; `recovered` how much nearer its reconstruction leaves the model's
    predictions than the mean in its place does: 1 less the ratio of the two KL divergences, NaN where the mean changes
    nothing. `active` is how many features are on at a token, `ever` how many at any.
    """

    explained: float
    recovered: float
    active: float
    ever: int
    tokens: int

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, None for what could not be measured."""
        numbers = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def check(dictionary: Dictionary, model: Model, batches: Sequence[TokenPairs]) -> Fit:
    """How well a dictionary fits a model on these prompts.

    Raises: BadDictionary when it has another width, or explains less of the variance than `LEAST`.
    """
    for hook in (dictionary.reads, dictionary.writes):
        check_place(model, hook)
    found = measured(dictionary, model, batches)
    if not found.explained >= LEAST:
        raise BadDictionary(
            f"{dictionary.name} explains {found.explained:.0%} of the variance at {dictionary.writes} on these "
            f"prompts, wanted {LEAST:.0%} at least; it is of another model, place or normalisation than its files say, "
            "or of quite other texts: use the model and the place that it was made for (or --anyway)"
        )
    return found


@torch.no_grad()
def measured(dictionary: Dictionary, model: Model, batches: Sequence[TokenPairs]) -> Fit:
    """The same of any dictionary, however bad.

    Raises: BadDictionary when it has another width than the model.
    """
    reads, writes = dictionary.reads, dictionary.writes
    squares = total = torch.zeros(1)
    unexplained, active, count = 0.0, 0, 0
    ever = torch.zeros(dictionary.n_features, dtype=torch.bool)
    for tokens, counts in _sides(batches):
        found = tapped_run(model, tokens, {reads, writes}).found
        _check_width(dictionary, found[reads].shape[-1], found[writes].shape[-1])
        x, wanted = found[reads][counts], found[writes][counts].double()
        features = dictionary.encode(x)
        unexplained += float((wanted - dictionary.decode(features, x)).square().sum())
        squares, total = squares + wanted.square().sum().cpu(), total + wanted.sum(0).cpu()
        active += int((features > 0).sum())
        ever |= (features > 0).any(0).cpu()
        count += len(x)
    mean = total / count
    variance = float(squares) - count * float(mean.square().sum())
    explained = 1 - unexplained / variance if variance > 0 else math.nan
    recovered = _recovered(dictionary, model, batches, mean.to(model.device, model.dtype))
    return Fit(explained, recovered, active / count, int(ever.sum()), count)


def _sides(batches: Sequence[TokenPairs]) -> list[tuple[Tensor, Bool[Tensor, "batch pos"]]]:
    """The clean and the corrupt prompts of every batch, and which of their tokens count."""
    sides = []
    for batch in batches:
        places = torch.arange(batch.clean.shape[1], device=batch.clean.device)
        counts = places <= batch.scored_positions[:, None]
        if int(batch.scored_positions.min()) > 0:
            counts = counts & (places > 0)
        sides += [(batch.clean, counts), (batch.corrupt, counts)]
    return sides


def _recovered(dictionary: Dictionary, model: Model, batches: Sequence[TokenPairs], mean: Tensor) -> float:
    """How much nearer to the model's predictions than with the mean one is with the reconstruction."""
    with_mean = with_reconstruction = 0.0
    reads, writes = dictionary.reads, dictionary.writes
    for number, (tokens, counts) in enumerate(_sides(batches)):
        positions = batches[number // 2].scored_positions
        whole = tapped_run(model, tokens, {reads, writes})
        said = dictionary.reconstruct(whole.found[reads])
        own = _predictions(model, whole.final, positions)
        for replacement in (mean.expand_as(said), said):
            changed = torch.where(counts[..., None], replacement, whole.found[writes])
            other = _predictions(model, tapped_run(model, tokens, (), {writes: put(changed)}).final, positions)
            divergence = float((own.exp() * (own - other)).sum())
            if replacement is said:
                with_reconstruction += divergence
            else:
                with_mean += divergence
    return 1 - with_reconstruction / with_mean if with_mean > _SOME else math.nan


def _predictions(model: Model, final: Float[Tensor, "batch pos d_model"], positions: Tensor) -> Tensor:
    """The log-probabilities at the scored positions."""
    rows = torch.arange(len(positions), device=final.device)
    return model.unembedding(final[rows, positions]).double().log_softmax(-1)


def _check_width(dictionary: Dictionary, reads: int, writes: int) -> None:
    got = dictionary.encoder.weight.shape[0], dictionary.decoder.weight.shape[1]
    if got != (reads, writes):
        raise BadDictionary(
            f"{dictionary.name} reads {got[0]} numbers at {dictionary.reads} and writes {got[1]}, wanted {reads} and "
            f"{writes}, as the model has there; use the model that it was made for"
        )
