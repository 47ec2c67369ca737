"""Learned constants as tensors, and tensors as constants that can be kept."""

from __future__ import annotations

from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.constants import Constants
from acdc.graphs.errors import BadCircuitFile, DifferentGraphs

_SCHEMA = "acdc.constants/1"
_TENSOR = "constants"


def kept(values: Float[Tensor, "sender 1 1 d_model"]) -> Constants:
    """The constants with these values, in their precision."""
    return Constants(save({_TENSOR: values[:, 0, 0].detach().cpu().contiguous()}, {"schema": _SCHEMA}))


def values_of(constants: Constants, graph: ComputationalGraph) -> Float[Tensor, "sender 1 1 d_model"]:
    """The constants of the senders of a graph, on the CPU, in the precision in which they were learned.

    Raises: DifferentGraphs when they are not of such a graph; BadCircuitFile when they are no constants.
    """
    try:
        values = load(constants.content)[_TENSOR]
    except (SafetensorError, KeyError) as error:
        raise BadCircuitFile(
            f"the constants that missing edges carry cannot be read: {error}; discover the circuit again"
        ) from error
    wanted = [len(graph.senders), graph.d_model]
    if list(values.shape) != wanted:
        raise DifferentGraphs(
            f"the constants that missing edges carry have the shape {list(values.shape)}, and the model's senders want "
            f"{wanted}; use the model that they were learned with, or another ablation (--ablation)"
        )
    return values[:, None, None]
