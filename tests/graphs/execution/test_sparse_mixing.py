"""Adding up what is read gives what the product with all weights gives; with it, circuits run as the oracle says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from acdc.graphs.circuit import Circuit
from acdc.graphs.execution import sparse_mixing
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.sparse_mixing import mixed_sparsely, sparse_pays
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, random_circuits

SHAPE = (2, 5, 4)


def drawn(seed: int, receivers: int = 7, senders: int = 9, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Weights half of which are 0, with a receiver that reads nothing and one that reads all; and what is written."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(receivers, senders, generator=generator, dtype=dtype)
    weights *= torch.rand(receivers, senders, generator=generator) < 0.5
    weights[2], weights[4] = 0, 1
    return weights, torch.randn(senders, *SHAPE, generator=generator, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_the_product(dtype: torch.dtype) -> None:
    weights, written = drawn(0, dtype=dtype)
    wanted = torch.einsum("rs,sbpd->rbpd", weights, written)
    onto, out = torch.randn(SHAPE, dtype=dtype), torch.empty(7, *SHAPE, dtype=dtype)
    torch.testing.assert_close(mixed_sparsely(weights, written), wanted)
    torch.testing.assert_close(mixed_sparsely(weights, written, onto), wanted + onto)
    assert mixed_sparsely(weights, written, onto, out) is out
    torch.testing.assert_close(out, wanted + onto)
    mixed_sparsely(weights, written, out, out)  # in place
    torch.testing.assert_close(out, 2 * wanted + onto)


def test_where_nothing_is_read_there_is_nothing_but_what_it_is_added_to() -> None:
    _, written = drawn(1)
    onto = torch.randn(SHAPE, dtype=torch.float64)
    assert torch.equal(mixed_sparsely(torch.zeros(3, 9).double(), written, onto), onto.expand(3, *SHAPE))
    assert not mixed_sparsely(torch.zeros(3, 0).double(), written[:0]).any()


def test_it_is_for_few_edges_between_large_tensors() -> None:
    few, written = torch.zeros(8, 16), torch.zeros(16, 2, 64, 128)
    few[:, :2] = 1
    assert sparse_pays(few, written)
    assert not sparse_pays(few, written[..., :8]), "what is written is small"
    assert not sparse_pays(torch.ones(8, 16), written), "all is read"
    assert not sparse_pays(few.bfloat16(), written.bfloat16()), "sums would be rounded one by one"
    assert not sparse_pays(few.requires_grad_(), written), "a gradient is asked for"
    with torch.no_grad():
        assert sparse_pays(few, written)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
def test_circuits_and_masks_run_as_the_oracle_says(
    checkpoints: Checkpoints, architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, bridge = checkpoints.model(architecture), load_bridge(checkpoints.ungrouped(architecture))
    executor = Executor(model, CLEAN, CORRUPT, POSITIONS)
    circuits = random_circuits(anatomy_of(bridge).edges(), 4)
    mixed = []
    monkeypatch.setattr(sparse_mixing, "_NUMBERS", 0)
    monkeypatch.setattr(sparse_mixing, "_MOST_READ", 1.0)
    bag = torch.nn.functional.embedding_bag
    monkeypatch.setattr(
        "torch.nn.functional.embedding_bag", lambda *args, **named: mixed.append(1) or bag(*args, **named)
    )
    for names in circuits:
        circuit = Circuit.from_names(model.graph, names)
        wanted = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, names, "resample")
        masked = MaskedRun(executor.runs, torch.from_numpy(circuit.mask()).double())
        torch.testing.assert_close(executor.run([circuit])[0], wanted, rtol=0, atol=1e-9)
        torch.testing.assert_close(masked.logits, wanted, rtol=0, atol=1e-9)
    assert mixed
