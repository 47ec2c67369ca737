"""Every pair of a crossing is what the circuit says of that pair alone, and is not run where one prompt decides."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadTokens, DifferentGraphs
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.mlp import Mlp
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.random_circuits import CLEAN, CORRUPT, random_circuits
from tests.native_bridges import NATIVES, Native, native_model

TWO = CORRUPT[:2]


def circuits_of(model: Model, count: int) -> list[Circuit]:
    """Random circuits and, where more hangs on one prompt only, nearly full and nearly empty ones."""
    edges, draw = [edge.name for edge in model.graph.edges()], random.Random(1)
    nearly = set(draw.sample(edges, len(edges) - 2))
    fed = {name for name in edges if name.startswith(("input->", "a0."))}
    chosen = [set(edges), set(), fed, nearly, *random_circuits(edges, count)]
    return [Circuit.from_names(model.graph, names) for names in chosen]


def crossed(run: CrossedRun, pairs: int | None = None) -> Tensor:
    blocks = list(run.blocks(pairs))
    logits = blocks[0].logits.new_full((2, 3, blocks[0].logits.shape[-1]), torch.nan)
    for block in blocks:
        logits[block.corrupt, block.clean] = block.logits
    return logits


def one_by_one(model: Model, circuits: Sequence[Circuit], position: int) -> Tensor:
    """The logits of circuits [circuit, corrupt, clean, vocab], from ordinary runs of the pairs."""
    clean, corrupt = CLEAN.repeat(2, 1), TWO.repeat_interleave(3, 0)
    logits = Executor(model, clean, corrupt, torch.full((6,), position)).run(circuits)
    return logits.unflatten(1, (2, 3))


def assert_pairs_agree(model: Model) -> None:
    circuits = circuits_of(model, 1)
    for position, some in ((6, circuits), (3, circuits[-1:])):
        for circuit, logits in zip(some, one_by_one(model, some, position), strict=True):
            got = crossed(CrossedRun(model, circuit, CLEAN, TWO, position))
            torch.testing.assert_close(got, logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_pair_is_as_an_executor_runs_it(checkpoints: Checkpoints, architecture: Architecture) -> None:
    assert_pairs_agree(checkpoints.model(architecture))


@pytest.mark.parametrize("name", NATIVES)
def test_every_pair_on_a_native_bridge_is_as_an_executor_runs_it(name: Native) -> None:
    assert_pairs_agree(native_model(name))


@pytest.fixture
def gpt2(checkpoints: Checkpoints) -> Model:
    return checkpoints.model("gpt2")


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_the_reference_is_the_clean_run(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    reference = CrossedRun(model, Circuit.empty(model.graph), CLEAN, TWO, 4).reference()
    torch.testing.assert_close(reference, model.logits(CLEAN)[:, 4], rtol=0, atol=1e-9)


@pytest.mark.parametrize("pairs", [1, 2, 4, 5, 100])
def test_pairs_come_out_alike_in_blocks_of_any_size(gpt2: Model, pairs: int) -> None:
    circuit = circuits_of(gpt2, 1)[-1]
    whole, parts = (CrossedRun(gpt2, circuit, CLEAN, TWO, 6) for _ in range(2))
    torch.testing.assert_close(crossed(parts, pairs), crossed(whole), rtol=0, atol=1e-12)
    assert max(block.logits[..., 0].numel() for block in parts.blocks(pairs)) <= pairs


def test_in_float32_pairs_agree_to_rounding(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("gpt2", torch.float32)
    circuit = circuits_of(model, 1)[-1]
    [wanted] = one_by_one(model, [circuit], 6)
    torch.testing.assert_close(crossed(CrossedRun(model, circuit, CLEAN, TWO, 6)), wanted, rtol=1e-5, atol=2e-5)


def test_only_what_both_prompts_reach_runs_for_every_pair(gpt2: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Circuit.full(gpt2.graph)
    cut = full.without(edge for edge in full.edges if edge.name == "a0.h0->m1")
    fed_late = Circuit.from_names(gpt2.graph, ["input->m0", "m0->m1", "m1->logits"])
    seen: list[tuple[int, int]] = []
    plain = Mlp.__call__

    def spied(mlp: Mlp, residual: Tensor, *rules: BackwardRules) -> Tensor:
        if residual.ndim == 4:
            seen.append((residual.shape[0], residual.shape[1]))
        return plain(mlp, residual, *rules)

    monkeypatch.setattr(Mlp, "__call__", spied)
    wanted = {full: [(1, 3)] * 3, cut: [(1, 3), (2, 3), (2, 3)], fed_late: [(2, 3), (2, 3)]}
    for circuit, shapes in wanted.items():
        seen.clear()
        crossed(CrossedRun(gpt2, circuit, CLEAN, TWO, 6), 6)
        assert seen == shapes, f"{len(circuit)} edges"


def test_prompts_that_do_not_fit_are_refused(gpt2: Model) -> None:
    full = Circuit.full(gpt2.graph)
    with pytest.raises(BadTokens, match="clean prompts of 7 tokens and corrupt ones of 6"):
        CrossedRun(gpt2, full, CLEAN, TWO[:, 1:], 3)
    with pytest.raises(BadTokens, match="scored at position 7; wanted one length, and a position inside it"):
        CrossedRun(gpt2, full, CLEAN, TWO, 7)
    with pytest.raises(BadTokens, match="not in the model's vocabulary"):
        CrossedRun(gpt2, full, CLEAN, TWO + 1000, 3)


def test_a_circuit_of_another_model_is_refused(gpt2: Model, checkpoints: Checkpoints) -> None:
    other = checkpoints.model("llama")
    with pytest.raises(DifferentGraphs, match="cannot run on one with 3 layers"):
        CrossedRun(gpt2, Circuit.full(other.graph), CLEAN, TWO, 3)
