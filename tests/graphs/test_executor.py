"""Circuits run as the oracle says, whole batches of them at once, on every supported architecture."""

from __future__ import annotations

import random
from collections.abc import Iterable

import jaxtyping
import pytest
import torch
from torch import Tensor

import graphs
from graphs.ablation import Ablation
from graphs.circuit import Circuit
from graphs.errors import BadTokens, DifferentGraphs
from graphs.executor import Executor
from graphs.model import Model, from_bridge
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.native_oracle import native_anatomy_of, native_oracle_logits
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS, random_circuits
from tests.native_bridges import NATIVES, Native, native_bridge


def named(model: Model, circuits: Iterable[set[str]]) -> list[Circuit]:
    return [Circuit.from_names(model.graph, names) for names in circuits]


def load(checkpoints: Checkpoints, architecture: Architecture) -> Model:
    return graphs.load(checkpoints.path(architecture), device="cpu", dtype=torch.float64)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_random_circuits_agree_with_the_oracle(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = load(checkpoints, architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    edges = anatomy_of(bridge).edges()
    assert {edge.name for edge in model.graph.edges()} == set(edges)
    circuits = [set(edges), set(), *random_circuits(edges, 20)]
    ours = named(model, circuits)
    for ablation in Ablation:
        logits = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run(ours)
        for index, circuit in enumerate(circuits):
            wanted = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, circuit, ablation.value)
            assert_close(logits[index], wanted, f"{ablation.value}, circuit {index} of {len(circuit)} edges")


@pytest.mark.parametrize("name", NATIVES)
def test_random_circuits_of_native_bridges_agree_with_the_oracle(name: Native) -> None:
    bridge = native_bridge(name)
    model = from_bridge(bridge)
    edges = native_anatomy_of(bridge).edges()
    assert {edge.name for edge in model.graph.edges()} == set(edges)
    circuits = [set(edges), set(), *random_circuits(edges, 20)]
    ours = named(model, circuits)
    for ablation in Ablation:
        logits = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run(ours)
        for index, circuit in enumerate(circuits):
            wanted = native_oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, circuit, ablation.value)
            assert_close(logits[index], wanted, f"{ablation.value}, circuit {index} of {len(circuit)} edges")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma3"])
@pytest.mark.parametrize("position", [0, 6])
def test_all_prompts_may_be_scored_at_the_same_position(
    checkpoints: Checkpoints, architecture: Architecture, position: int
) -> None:
    model = load(checkpoints, architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    circuits = random_circuits(anatomy_of(bridge).edges(), 4)
    positions = torch.full((3,), position)
    logits = Executor(model, CLEAN, CORRUPT, positions, Ablation.MEAN_POSITIONAL).run(named(model, circuits))
    for index, circuit in enumerate(circuits):
        wanted = oracle_logits(bridge, CLEAN, CORRUPT, positions, circuit, "mean-positional")
        assert_close(logits[index], wanted, f"circuit {index}")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_float32_the_full_circuit_gives_the_logits_of_transformers(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    from transformers import AutoModelForCausalLM

    model = graphs.load(checkpoints.path(architecture))
    logits = Executor(model, CLEAN, CORRUPT, POSITIONS).run([Circuit.full(model.graph), Circuit.empty(model.graph)])
    original = AutoModelForCausalLM.from_pretrained(checkpoints.path(architecture), dtype=torch.float32).eval()
    with torch.no_grad():
        for got, tokens in zip(logits, (CLEAN, CORRUPT), strict=True):
            torch.testing.assert_close(got, original(tokens).logits[ROWS, POSITIONS], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_one_circuit_at_a_time_gives_what_all_at_once_give(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model = load(checkpoints, architecture)
    circuits = named(model, random_circuits([edge.name for edge in model.graph.edges()], 6))
    executor = Executor(model, CLEAN, CORRUPT, POSITIONS, Ablation.MEAN)
    together = executor.run(circuits)
    assert_close(executor.run(circuits, max_bytes=1), together, "one at a time")
    assert_close(torch.cat([executor.run([circuit]) for circuit in circuits]), together, "one per call")


def test_only_the_asked_columns_of_the_vocabulary_come_back(checkpoints: Checkpoints) -> None:
    model = load(checkpoints, "gemma2")  # whose logits are capped
    circuits = named(model, random_circuits([edge.name for edge in model.graph.edges()], 3))
    executor = Executor(model, CLEAN, CORRUPT, POSITIONS)
    columns = torch.tensor([[7, 30], [8, 31], [9, 9]])
    wanted = executor.run(circuits).gather(-1, columns.expand(3, -1, -1))
    assert_close(executor.run(circuits, columns=columns), wanted, "columns")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pruning_dead_edges_changes_no_logits(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = load(checkpoints, architecture)
    draw = random.Random(0)
    edges = [edge.name for edge in model.graph.edges()]
    circuits = named(model, [set(draw.sample(edges, size)) for size in (3, 6, 10, 15, 20, 30, 40)])
    for ablation in Ablation:
        pruned = [circuit.pruned(ablation) for circuit in circuits]
        assert sum(map(len, pruned)) < sum(map(len, circuits))
        executor = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation)
        assert_close(executor.run(pruned), executor.run(circuits), ablation.value)


def test_a_circuit_of_another_model_is_refused(checkpoints: Checkpoints) -> None:
    gpt2, llama = load(checkpoints, "gpt2"), load(checkpoints, "llama")
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
    model = load(checkpoints, "gpt2")
    # Users run without the shape checks of the test run, which would speak first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(BadTokens):
        Executor(model, clean, corrupt, positions)


def assert_close(got: Tensor, wanted: Tensor, what: str) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9, msg=lambda text: f"{what}: {text}")
