"""What is kept of constants is all of them, to the last bit, for the model that they are of."""

from __future__ import annotations

import pytest
import torch

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.constants import Constants
from acdc.graphs.errors import BadCircuitFile, DifferentGraphs
from acdc.graphs.execution.constant_tensors import kept, values_of

GRAPH = ComputationalGraph(2, 2, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_constants_come_back_to_the_last_bit(dtype: torch.dtype) -> None:
    values = torch.randn(len(GRAPH.senders), 1, 1, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    again = values_of(kept(values), GRAPH)
    assert again.dtype is dtype
    assert torch.equal(again, values)


def test_constants_of_another_model_are_refused() -> None:
    constants = kept(torch.zeros(len(GRAPH.senders), 1, 1, 8))
    with pytest.raises(DifferentGraphs, match=r"have the shape \[7, 8\], and the model's senders want \[4, 8\]"):
        values_of(constants, ComputationalGraph(1, 2, 8))


def test_what_is_no_file_of_constants_is_refused() -> None:
    with pytest.raises(BadCircuitFile, match="cannot be read"):
        values_of(Constants(b"no safetensors"), GRAPH)
