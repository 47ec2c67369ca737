"""A dictionary: sparse features of what a part of a model reads or writes, by an autoencoder or a transcoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import assert_never

from acdc.graphs.features.activation import AbstractActivation
from acdc.graphs.features.hooks import Hook
from acdc.graphs.model.mlp import rows_apart

_EPSILON = 1e-5  # SAELens' own, in its layer norm of activations


class Normalisation(Enum):
    """What is done to each token's activations before they are encoded, and by an autoencoder undone afterwards."""

    NONE = "none"
    CONSTANT_NORM = "constant_norm_rescale"
    """Scaled to a norm of the square root of their width."""
    LAYER_NORM = "layer_norm"
    """Centred, and divided by their standard deviation."""


@dataclass(frozen=True)
class Encoder:
    """What reads features: `weight` times the input less `centre`, plus `bias`; then the activation, times `gain`."""

    weight: Float[Tensor, "d_in feature"]
    bias: Float[Tensor, " feature"]
    activation: AbstractActivation
    centre: Float[Tensor, " d_in"] | None = None
    gain: Float[Tensor, " feature"] | None = None

    def __call__(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch feature"]:
        """The activations of the features."""
        centred = x if self.centre is None else x - self.centre
        active = self.activation(centred @ self.weight + self.bias)
        return active if self.gain is None else active * self.gain

    def apart(
        self, x: Float[Tensor, "input *batch d_in"], features: Int[Tensor, " chosen"], inputs: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "chosen *batch"]:
        """The activations of chosen features, each given its own of the inputs; by their own rows, where these do."""
        activation = self.activation.of(features)
        if activation is None:
            every: Tensor = self(x)[inputs, ..., features]
            return every
        made = rows_apart(x if self.centre is None else x - self.centre, self.weight.T[features], inputs)
        active = activation(made.movedim(0, -1) + self.bias[features])
        return (active if self.gain is None else active * self.gain[features]).movedim(-1, 0)


@dataclass(frozen=True)
class Decoder:
    """What writes features: each activation times its direction, plus `bias`, plus `skip` times the input, if any."""

    weight: Float[Tensor, "feature d_out"]
    bias: Float[Tensor, " d_out"]
    skip: Float[Tensor, "d_in d_out"] | None = None


@dataclass(frozen=True)
class Dictionary:
    """Features of what stands at `reads`, which together say nearly what stands at `writes`.

    For an autoencoder both are the same place; a transcoder reads what goes into an MLP and says what comes out of it.
    """

    name: str
    encoder: Encoder
    decoder: Decoder
    reads: Hook
    writes: Hook
    normalisation: Normalisation = Normalisation.NONE

    def __repr__(self) -> str:
        kind = "transcoder" if self.is_transcoder else "autoencoder"
        return f"<Dictionary {self.name}: {kind} of {self.n_features:,} features at {self.reads}>"

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return self.encoder.weight.shape[1]

    @property
    def is_transcoder(self) -> bool:
        """Whether it says another place than it reads."""
        return self.reads != self.writes

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch feature"]:
        """The activations of the features, given what stands where it reads."""
        return self.encoder(self._normalised(x)[0])

    def encode_apart(
        self, x: Float[Tensor, "input *batch d_in"], features: Int[Tensor, " chosen"], inputs: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "chosen *batch"]:
        """The activations of chosen features, each given what stands where it reads in the run that `inputs` says."""
        return self.encoder.apart(self._normalised(x)[0], features, inputs)

    def decode(
        self, features: Float[Tensor, "*batch feature"], x: Float[Tensor, "*batch d_in"]
    ) -> Float[Tensor, "*batch d_out"]:
        """What these activations say stands where it writes, given what stands where it reads."""
        said = features @ self.decoder.weight + self.decoder.bias
        if self.decoder.skip is not None:
            said = said + x @ self.decoder.skip
        if self.is_transcoder:
            return said
        _, scale, shift = self._normalised(x)
        return said * scale + shift

    def scale(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch 1"]:
        """What each feature's direction is multiplied with on this input, beside its activation."""
        return torch.ones_like(x[..., :1]) if self.is_transcoder else self._normalised(x)[1]

    def reconstruct(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """What it says stands where it writes."""
        return self.decode(self.encode(x), x)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Dictionary:
        """The same there, in that precision."""

        def moved(x: Tensor | None) -> Tensor | None:
            return x if x is None else x.to(device, dtype)

        encoder, decoder = self.encoder, self.decoder
        activation = encoder.activation.to(torch.device(device), dtype)
        parts = (encoder.weight.to(device, dtype), encoder.bias.to(device, dtype), activation)
        return replace(
            self,
            encoder=Encoder(*parts, moved(encoder.centre), moved(encoder.gain)),
            decoder=Decoder(decoder.weight.to(device, dtype), decoder.bias.to(device, dtype), moved(decoder.skip)),
        )

    def folded(self) -> Dictionary:
        """The same function with directions of length 1, so that activations are as large as what features write.

        A direction of length 0 stays as it is.
        """
        length = self.decoder.weight.norm(dim=-1)
        length = torch.where(length > 0, length, torch.ones_like(length))
        gain = length if self.encoder.gain is None else self.encoder.gain * length
        weight = self.decoder.weight / length[:, None]
        return replace(self, encoder=replace(self.encoder, gain=gain), decoder=replace(self.decoder, weight=weight))

    def _normalised(
        self, x: Float[Tensor, "*batch d_in"]
    ) -> tuple[Float[Tensor, "*batch d_in"], Float[Tensor, "*batch 1"], Float[Tensor, "*batch 1"]]:
        """The input as it is encoded, and what outputs are multiplied with and shifted by, as SAELens does it."""
        one, zero = torch.ones_like(x[..., :1]), torch.zeros_like(x[..., :1])
        match self.normalisation:
            case Normalisation.NONE:
                return x, one, zero
            case Normalisation.CONSTANT_NORM:
                length = x.norm(dim=-1, keepdim=True)
                root = x.shape[-1] ** 0.5
                return x * (root / length), length / root, zero
            case Normalisation.LAYER_NORM:
                mean = x.mean(-1, keepdim=True)
                centred = x - mean
                spread = centred.std(-1, keepdim=True)
                return centred / (spread + _EPSILON), spread, mean
            case _:
                assert_never(self.normalisation)
