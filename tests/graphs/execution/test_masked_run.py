"""Parts of edges and their gradients are what the oracle says, and parts of 0 and 1 are circuits."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import TokenPairs, prepare
from acdc.graphs.model import Model
from acdc.graphs.nodes import INPUT
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.oracle import load_bridge, oracle_weighted_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, random_circuits
from tests.native_bridges import Native, native_model

PROMPTS = TokenPairs(CLEAN, CORRUPT, POSITIONS)


def drawn_parts(model: Model, missing: float, seed: int = 11) -> Tensor:
    """Parts from -0.2 to 1.2 for every edge, some exactly 1, and so many of them 0; 0 where no edge is."""
    generator = torch.Generator().manual_seed(seed)
    shape = len(model.graph.receivers), len(model.graph.senders)
    parts = 1.4 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.2
    parts = torch.where(torch.rand(shape, generator=generator) < 0.1, 1.0, parts)
    parts = torch.where(torch.rand(shape, generator=generator) < missing, 0.0, parts)
    return parts * torch.from_numpy(Circuit.full(model.graph).mask())


@pytest.mark.parametrize("missing", [0.0, 0.35])
@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama", "gemma2", "olmo2"])
def test_parts_and_their_gradients_agree_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture, missing: float
) -> None:
    model = checkpoints.model(architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    numbers = list(model.graph.edge_indices.values())
    parts = drawn_parts(model, missing)
    for ablation in (Ablation.RESAMPLE, Ablation.ZERO):
        run = MaskedRun(prepare(model, PROMPTS, ablation), parts)
        coefficients = torch.randn(run.logits.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        gradient = run.edge_gradient(coefficients)
        weights = torch.stack([parts[number] for number in numbers]).requires_grad_()
        wanted = oracle_weighted_logits(bridge, CLEAN, CORRUPT, POSITIONS, weights, ablation.value)
        (slope,) = torch.autograd.grad((coefficients * wanted).sum(), weights)
        torch.testing.assert_close(run.logits, wanted.detach(), rtol=0, atol=1e-9, msg=ablation.value)
        circuit = Circuit.full(model.graph) if not missing else pruned(model, parts)
        checked = [index for index, number in enumerate(numbers) if circuit.mask()[number]]
        assert len(checked) > 5
        assert slope[checked].abs().max() > 0.001
        got = torch.stack([gradient[number] for number in numbers])
        torch.testing.assert_close(got[checked], slope[checked], rtol=1e-9, atol=1e-9)


def pruned(model: Model, parts: Tensor) -> Circuit:
    """The circuit of the parts that are not 0, without dead edges."""
    edges = frozenset(edge for edge, number in model.graph.edge_indices.items() if parts[number])
    return Circuit(model.graph, edges).pruned()


@pytest.mark.parametrize("name", ["attention_only", "bidirectional"])
def test_a_gradient_is_the_limit_of_differences(name: Native) -> None:
    model, step = native_model(name), 1e-5
    runs, parts = prepare(model, PROMPTS, Ablation.MEAN), drawn_parts(native_model(name), 0.3)
    run = MaskedRun(runs, parts)
    gradient = run.edge_gradient(2 * run.logits)
    for number in random.Random(name).sample([edge for edge in model.graph.edge_indices.values() if parts[edge]], 8):
        values = []
        for side in (step, -step):
            moved = parts.clone()
            moved[number] += side
            values.append(float(MaskedRun(runs, moved).logits.square().sum()))
        assert float(gradient[number]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parts_of_0_and_1_are_circuits(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    edges = [edge.name for edge in model.graph.edges()]
    apart = {edge.name for edge in model.graph.edges() if edge.sender != INPUT}  # nothing joins it to the input
    names = [set(edges), set(), apart, *random_circuits(edges, 4)]
    circuits = [Circuit.from_names(model.graph, some) for some in names]
    for ablation in UNLEARNED:
        executor = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation)
        wanted = executor.run(circuits)
        for circuit, logits in zip(circuits, wanted, strict=True):
            run = MaskedRun(executor.runs, torch.from_numpy(circuit.mask()).double())
            torch.testing.assert_close(run.logits, logits, rtol=0, atol=1e-12)


def test_only_some_columns_are_unembedded_if_so_asked(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("llama")
    runs, parts = prepare(model, PROMPTS, Ablation.RESAMPLE), drawn_parts(model, 0.5)
    columns = torch.tensor([[3, 5], [1, 2], [0, 7]])
    whole, some = MaskedRun(runs, parts), MaskedRun(runs, parts, columns=columns)
    torch.testing.assert_close(some.logits, whole.logits.gather(1, columns), rtol=0, atol=1e-12)
    at_some = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]], dtype=torch.float64)
    at_whole = torch.zeros_like(whole.logits).scatter(1, columns, at_some)
    torch.testing.assert_close(some.edge_gradient(at_some), whole.edge_gradient(at_whole), rtol=0, atol=1e-12)
