"""MLPs split into what their circuits are made of: a sender for each neuron, or for each feature of a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.features.fit import Fit
from acdc.graphs.features.reading_apart import features_apart, neurons_apart, remainders_apart
from acdc.graphs.features.units import Neurons
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.mlp import FeedForward, Mlp
from acdc.graphs.model.mlp_parts import AbstractMlpParts
from acdc.graphs.model.transformer import Model


@final
@dataclass(frozen=True)
class NeuronParts(AbstractMlpParts):
    """Every neuron of an MLP: its activation times its direction. The bias of the output belongs to no part."""

    names: tuple[str, ...]
    bias: Float[Tensor, " d_model"] | None
    directions: Float[Tensor, "neuron d_model"]

    @classmethod
    def of(cls, model: Model, layer: int) -> NeuronParts:
        """Those of a layer.

        Raises: BadDictionary where its MLP has no neurons that add up.
        """
        neurons = Neurons.of(model, layer)
        assert isinstance(neurons.mlp.inner, FeedForward)
        bias = neurons.mlp.inner.out[1]
        names = tuple(f"n{number}" for number in range(neurons.count))
        return cls(names, None if bias is None else bias * neurons.mlp.scale, neurons.directions)

    def __call__(self, mlp: Mlp, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "part *batch d_model"]:
        """What each neuron adds."""
        active = Neurons(0, mlp, self.directions).activations(mlp.norm(residual))
        return torch.einsum("...n,nd->n...d", active, self.directions)

    def apart(
        self,
        mlp: Mlp,
        residuals: Float[Tensor, "input *batch d_model"],
        parts: Int[Tensor, " chosen"],
        inputs: Int[Tensor, " chosen"],
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """What chosen neurons add, each of what it reads itself."""
        return neurons_apart(mlp, self.directions, residuals, parts, inputs, rules)


@final
@dataclass(frozen=True)
class FeatureParts(AbstractMlpParts):
    """Chosen features of what an MLP writes, all others together (`rest`), and what no feature says (`error`).

    The error is what the MLP writes less all features, the dictionary's bias and skip included: so the parts always add
    up to what the MLP writes, however good the dictionary is; `fit` says how good, where that was measured, and
    `called` what a user calls features, by part.
    """

    names: tuple[str, ...]
    chosen: Int[Tensor, " feature"]
    dictionary: Dictionary
    bias: None = None
    fit: Fit | None = None
    called: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model, dictionary: Dictionary, chosen: Sequence[int], fit: Fit | None = None) -> FeatureParts:
        """These features, by number, of a dictionary, and how well it fits.

        Raises: BadDictionary when it is not of a place whose features can be senders.
        """
        reads, writes = dictionary.reads, dictionary.writes
        places = ("mlp_out", "mlp_in") if model.graph.parallel else ("mlp_out", "mlp_in", "resid_mid")
        of_mlp = writes.site == "mlp_out" and reads.site in places and reads.layer == writes.layer
        if not of_mlp and (writes.site in ("mlp_out", "mlp_in") or reads != writes):
            raise BadDictionary(
                f"{dictionary.name} is of {writes}, read from {reads}; wanted features of what an MLP writes, read "
                "from there or, by a transcoder, from what that MLP reads, or an autoencoder of what attention writes "
                "or of the residual stream: others cannot be senders of a circuit"
            )
        numbers = torch.tensor(sorted(set(chosen)), dtype=torch.long, device=model.device)
        some = () if len(numbers) == dictionary.n_features else ("rest",)
        names = (*(f"f{number}" for number in numbers.tolist()), *some, "error")
        return cls(names, numbers, dictionary.to(model.device, model.dtype), fit=fit)

    def __call__(self, mlp: Mlp, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "part *batch d_model"]:
        """What each of them adds."""
        wrote, read = mlp(residual), residual
        match self.dictionary.reads.site:
            case "mlp_out":
                read = wrote
            case "mlp_in":
                read = mlp.norm(residual)
        return self.shares(read, wrote, self.dictionary.decoder.weight)

    def shares(
        self,
        read: Float[Tensor, "*batch d_in"],
        wrote: Float[Tensor, "*batch d_model"],
        weight: Float[Tensor, "feature d_model"],
    ) -> Float[Tensor, "part *batch d_model"]:
        """What each of them adds, given what the dictionary reads, what is split, and every feature's direction there.

        They add up to what is split.
        """
        active = self.dictionary.encode(read) * self.dictionary.scale(read)
        parts = torch.einsum("...f,fd->f...d", active[..., self.chosen], weight[self.chosen])
        said = parts.sum(0)
        if "rest" in self.names:
            others = active.index_fill(-1, self.chosen, 0) @ weight
            parts, said = torch.cat((parts, others[None])), said + others
        return torch.cat((parts, (wrote - said)[None]))

    def apart(
        self,
        mlp: Mlp,
        residuals: Float[Tensor, "input *batch d_model"],
        parts: Int[Tensor, " chosen"],
        inputs: Int[Tensor, " chosen"],
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """What chosen ones of them add, each of what it reads itself."""
        single = parts < len(self.chosen)
        made, order = [], []
        if single.any():
            features = self.chosen[parts[single]]
            made.append(features_apart(mlp, self.dictionary, residuals, features, inputs[single], rules))
            order.append(single.nonzero()[:, 0])
        if not single.all():
            used, of = torch.unique(inputs[~single], return_inverse=True)
            rest, error = remainders_apart(mlp, self.dictionary, self.chosen, residuals[used], rules)
            is_error = (parts[~single] == len(self.names) - 1).view(-1, *[1] * (rest.ndim - 1))
            made.append(torch.where(is_error, error[of], rest[of]))
            order.append((~single).nonzero()[:, 0])
        return torch.cat(made)[torch.cat(order).argsort()]
