"""Features of what the heads of a layer write together and of the residual stream, each a sender of circuits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.splitting import FeatureParts
from acdc.graphs.features.tapped_run import check_place
from acdc.graphs.model.parts import Attention
from acdc.graphs.model.stream_parts import AbstractAttentionParts, AbstractStreamParts
from acdc.graphs.model.transformer import Model


@final
@dataclass(frozen=True)
class AttentionFeatures(AbstractAttentionParts):
    """Chosen features of what the heads of a layer write together, or of the values that they gather.

    The error is what the heads write less all features, so that the parts always add up to it; the output's bias, which
    the dictionary of what attention writes reads with it, belongs to no part. `directions` is what every feature adds
    to the residual stream.
    """

    features: FeatureParts
    directions: Float[Tensor, "feature d_model"]

    @classmethod
    def of(cls, model: Model, features: FeatureParts) -> AttentionFeatures:
        """These features of what a layer's attention writes or gathers.

        Raises: BadDictionary when they are normed before they are added to the residual stream.
        """
        place, weight = features.dictionary.writes, features.dictionary.decoder.weight
        check_place(model, place)
        if place.site == "attn_z":
            output = model.layers[place.layer].attention.output
            if output.post_norm is not None:
                raise BadDictionary(
                    f"{place} is normed before it is added to the residual stream; use a dictionary of hook_attn_out"
                )
            weight = weight @ output.weight.flatten(0, 1).to(weight.device)
        return cls(features, weight)

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the parts are called."""
        return self.features.names

    def __call__(
        self,
        attention: Attention,
        gathered: Float[Tensor, "head *batch pos d_head"],
        scale: Float[Tensor, "*#batch pos d_model"] | None,
    ) -> Float[Tensor, "part *batch pos d_model"]:
        """What each of them adds."""
        wrote = attention.output.together(gathered)
        wrote = wrote if scale is None else wrote * scale
        if self.features.dictionary.reads.site == "attn_z":
            read = gathered.movedim(0, -2).flatten(-2)
        else:
            read = wrote + attention.output.bias
        return self.features.shares(read, wrote, self.directions)


@final
@dataclass(frozen=True)
class StreamFeatures(AbstractStreamParts):
    """Chosen features of the residual stream at one place; the error is the stream less all features."""

    features: FeatureParts

    @classmethod
    def of(cls, model: Model, features: FeatureParts) -> StreamFeatures:
        """These features of the residual stream.

        Raises: BadDictionary when nothing has been added to the embeddings there, or the model has no such place.
        """
        dictionary = features.dictionary
        check_place(model, dictionary.writes)
        if dictionary.writes.site == "resid_pre" and dictionary.writes.layer == 0:
            raise BadDictionary(
                f"{dictionary.name} is of {dictionary.writes}, the embeddings, which are one sender; use a dictionary "
                "of a place behind the first layer's attention"
            )
        if dictionary.writes.site == "resid_mid" and model.graph.parallel:
            raise BadDictionary(
                f"{dictionary.name} is of {dictionary.writes}, but attention and MLP of this model read the same "
                "residual stream, and none stands between them; use a dictionary of hook_resid_post"
            )
        return cls(features)

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the parts are called."""
        return self.features.names

    def __call__(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "part *batch d_model"]:
        """What each of them adds."""
        return self.features.shares(residual, residual, self.features.dictionary.decoder.weight)
