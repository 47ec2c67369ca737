"""Circuits run as the oracle says, whole batches of them at once, on every supported architecture."""

from __future__ import annotations

import random
from collections.abc import Iterable

import jaxtyping
import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadTokens, DifferentGraphs
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from acdc.graphs.nodes import INPUT
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.native_oracle import native_anatomy_of, native_oracle_logits, native_oracle_outputs
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits, oracle_outputs, oracle_weighted_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS, random_circuits
from tests.native_bridges import NATIVES, Native, native_model


def named(model: Model, circuits: Iterable[set[str]]) -> list[Circuit]:
    return [Circuit.from_names(model.graph, names) for names in circuits]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_random_circuits_agree_with_the_oracle(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    edges = anatomy_of(bridge).edges()
    assert {edge.name for edge in model.graph.edges()} == set(edges)
    written = oracle_outputs(bridge, CORRUPT)
    for seed, ablation in enumerate(UNLEARNED):
        circuits = [*([] if seed else [set(edges)]), set(), *random_circuits(edges, 3, seed)]  # all edges: no ablation
        logits = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run(named(model, circuits))
        for index, circuit in enumerate(circuits):
            wanted = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, circuit, ablation.value, written)
            assert_close(logits[index], wanted, f"{ablation.value}, circuit {index} of {len(circuit)} edges")


@pytest.mark.parametrize("name", NATIVES)
def test_random_circuits_of_native_bridges_agree_with_the_oracle(name: Native) -> None:
    model = native_model(name)
    bridge = model.bridge
    edges = native_anatomy_of(bridge).edges()
    assert {edge.name for edge in model.graph.edges()} == set(edges)
    written = native_oracle_outputs(bridge, CORRUPT)
    for seed, ablation in enumerate(UNLEARNED):
        circuits = [set(edges), set(), *random_circuits(edges, 6, seed)]
        logits = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run(named(model, circuits))
        for index, circuit in enumerate(circuits):
            wanted = native_oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, circuit, ablation.value, written)
            assert_close(logits[index], wanted, f"{ablation.value}, circuit {index} of {len(circuit)} edges")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma3"])
@pytest.mark.parametrize("position", [0, 6])
def test_all_prompts_may_be_scored_at_the_same_position(
    checkpoints: Checkpoints, architecture: Architecture, position: int
) -> None:
    model = checkpoints.model(architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    circuits = random_circuits(anatomy_of(bridge).edges(), 4)
    positions = torch.full((3,), position)
    logits = Executor(model, CLEAN, CORRUPT, positions, Ablation.MEAN_POSITIONAL).run(named(model, circuits))
    for index, circuit in enumerate(circuits):
        wanted = oracle_logits(bridge, CLEAN, CORRUPT, positions, circuit, "mean-positional")
        assert_close(logits[index], wanted, f"circuit {index}")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "qwen3", "gemma3", "mixtral", "olmo2", "bloom"])
def test_in_float32_the_full_circuit_gives_the_logits_of_transformers(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    from transformers import AutoModelForCausalLM

    model = checkpoints.model(architecture, torch.float32)
    logits = Executor(model, CLEAN, CORRUPT, POSITIONS).run([Circuit.full(model.graph), Circuit.empty(model.graph)])
    original = AutoModelForCausalLM.from_pretrained(checkpoints.path(architecture), dtype=torch.float32).eval()
    with torch.no_grad():
        for got, tokens in zip(logits, (CLEAN, CORRUPT), strict=True):
            torch.testing.assert_close(got, original(tokens).logits[ROWS, POSITIONS], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "mixtral", "olmo2", "gptj", "granite", "bloom"])
def test_in_half_precision_circuits_are_those_of_float64_to_rounding(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model, exact = checkpoints.model(architecture, torch.bfloat16), checkpoints.model(architecture)
    names = random_circuits([edge.name for edge in model.graph.edges()], 3)
    logits = Executor(model, CLEAN, CORRUPT, POSITIONS).run(named(model, names))
    wanted = Executor(exact, CLEAN, CORRUPT, POSITIONS).run(named(exact, names))
    assert logits.dtype == torch.bfloat16
    assert (logits - wanted).abs().max() < 0.05 * wanted.abs().max()


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_one_circuit_at_a_time_gives_what_all_at_once_give(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model = checkpoints.model(architecture)
    circuits = named(model, random_circuits([edge.name for edge in model.graph.edges()], 6))
    executor = Executor(model, CLEAN, CORRUPT, POSITIONS, Ablation.MEAN)
    together = executor.run(circuits)
    assert_close(executor.run(circuits, max_bytes=1), together, "one at a time")
    assert_close(torch.cat([executor.run([circuit]) for circuit in circuits]), together, "one per call")


def test_only_the_asked_columns_of_the_vocabulary_come_back(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("gemma2")  # whose logits are capped
    circuits = named(model, random_circuits([edge.name for edge in model.graph.edges()], 3))
    executor = Executor(model, CLEAN, CORRUPT, POSITIONS)
    columns = torch.tensor([[7, 30], [8, 31], [9, 9]])
    wanted = executor.run(circuits).gather(-1, columns.expand(3, -1, -1))
    assert_close(executor.run(circuits, columns=columns), wanted, "columns")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pruning_dead_edges_changes_no_logits(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    draw = random.Random(0)
    edges = [edge.name for edge in model.graph.edges()]
    circuits = named(model, [set(draw.sample(edges, size)) for size in (3, 6, 10, 15, 20, 30, 40)])
    for ablation in UNLEARNED:
        pruned = [circuit.pruned() for circuit in circuits]
        assert sum(map(len, pruned)) < sum(map(len, circuits))
        executor = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation)
        assert_close(executor.run(pruned), executor.run(circuits), ablation.value)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_no_path_joins_to_the_input_writes_what_the_ablated_run_has(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    """Nothing of the clean run enters a circuit but over its edges, frozen scales included."""
    model = checkpoints.model(architecture)
    draw = random.Random(1)
    edges = [edge for edge in model.graph.edges() if edge.sender != INPUT]
    circuits = [Circuit(model.graph, frozenset(draw.sample(edges, size))) for size in (1, 5, 20, len(edges))]
    masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double()
    for ablation in UNLEARNED:
        executor = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation)
        nothing = executor.run([Circuit.empty(model.graph)])
        assert executor.run(circuits).sub(nothing).abs().max() == 0, ablation
        assert executor.run_masks(masks).sub(nothing).abs().max() < 1e-12, ablation


def drawn_masks(model: Model, count: int) -> Tensor:
    """Weights between -0.2 and 1.2 for every edge, some of them exactly 0 or 1, and noise where there is no edge."""
    generator = torch.Generator().manual_seed(11)
    shape = count, len(model.graph.receivers), len(model.graph.senders)
    weights = 1.4 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.2
    return torch.where(torch.rand(shape, generator=generator) < 0.3, weights.round().clamp(0, 1), weights)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama", "gemma2"])
def test_masks_and_their_gradients_agree_with_the_oracle(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    numbers = list(model.graph.edge_indices.values())
    masks = drawn_masks(model, 2).requires_grad_()
    for ablation in (Ablation.RESAMPLE, Ablation.ZERO):
        logits = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run_masks(masks)
        coefficients = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        (gradient,) = torch.autograd.grad((coefficients * logits).sum(), masks)
        for index, mask in enumerate(masks.detach()):
            weights = torch.stack([mask[number] for number in numbers]).requires_grad_()
            wanted = oracle_weighted_logits(bridge, CLEAN, CORRUPT, POSITIONS, weights, ablation.value)
            (slope,) = torch.autograd.grad((coefficients[index] * wanted).sum(), weights)
            assert_close(logits[index], wanted, f"{ablation.value}, mask {index}")
            assert slope.abs().max() > 0.1
            assert_close(torch.stack([gradient[index][number] for number in numbers]), slope, f"gradient {index}")
            assert gradient[index].count_nonzero() <= len(numbers), "what is no edge has no gradient"


@pytest.mark.parametrize("name", ["attention_only", "bidirectional"])
def test_a_gradient_is_the_limit_of_differences(name: Native) -> None:
    model, step = native_model(name), 1e-5
    executor, masks = Executor(model, CLEAN, CORRUPT, POSITIONS), drawn_masks(model, 2)
    (gradient,) = torch.autograd.grad(executor.run_masks(masks.requires_grad_()).square().sum(), masks)
    masks = masks.detach()
    for number in random.Random(name).sample(list(model.graph.edge_indices.values()), 8):
        values = []
        for side in (step, -step):
            moved = masks.clone()
            moved[1][number] += side
            values.append(float(executor.run_masks(moved).square().sum()))
        assert float(gradient[1][number]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("learning", [False, True])
def test_masks_of_0_and_1_are_circuits(checkpoints: Checkpoints, architecture: Architecture, learning: bool) -> None:
    model = checkpoints.model(architecture)
    edges = [edge.name for edge in model.graph.edges()]
    circuits = named(model, [set(edges), set(), *random_circuits(edges, 6)])
    masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double().requires_grad_(learning)
    for ablation in UNLEARNED:
        executor = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation)
        torch.testing.assert_close(executor.run_masks(masks).detach(), executor.run(circuits), rtol=0, atol=1e-12)


def test_a_circuit_of_another_model_is_refused(checkpoints: Checkpoints) -> None:
    gpt2, llama = checkpoints.model("gpt2"), checkpoints.model("llama")
    with pytest.raises(DifferentGraphs):
        Executor(gpt2, CLEAN, CORRUPT, POSITIONS).run([Circuit.full(llama.graph)])


@pytest.mark.parametrize(
    ("clean", "corrupt", "positions"),
    [
        (CLEAN, CORRUPT[:, :5], POSITIONS),
        (CLEAN, CORRUPT[:2], POSITIONS),
        (CLEAN, CORRUPT, torch.tensor([6, 7, 5])),
        (CLEAN, CORRUPT, torch.tensor([6, -1, 5])),
        (CLEAN + 1000, CORRUPT, POSITIONS),
    ],
    ids=["lengths", "counts", "position past the end", "negative position", "unknown token"],
)
def test_prompts_that_do_not_fit_are_refused(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, clean: Tensor, corrupt: Tensor, positions: Tensor
) -> None:
    model = checkpoints.model("gpt2")
    # Users run without the shape checks of the test run, which would speak first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(BadTokens):
        Executor(model, clean, corrupt, positions)


def assert_close(got: Tensor, wanted: Tensor, what: str) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9, msg=lambda text: f"{what}: {text}")
