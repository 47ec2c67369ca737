"""Runs confined to the tokens at which circuits can differ give what runs of whole prompts give, in every way.

The prompts begin alike, each pair for so long as it likes, and are scored before they end; one pair is the same
throughout.
"""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.execution.tokens import Tokens
from acdc.graphs.model import Model
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.execution import test_all_splits
from tests.graphs.execution.test_incremental import Walk
from tests.graphs.execution.test_masked_run import drawn_parts
from tests.graphs.execution.test_spans import NAMES, SPANS, drawn
from tests.graphs.execution.test_streams import ONE, OTHER
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits
from tests.graphs.random_circuits import CLEAN, random_circuits
from tests.native_bridges import NATIVES, Native, native_model

PAIRS = torch.cat((CLEAN, CLEAN[:1].flip(1)))
ALIKE = torch.tensor([2, 0, 4, 7])
CHANGED = torch.where(torch.arange(7) < ALIKE[:, None], PAIRS, (PAIRS + 9) % 53)
SCORED = torch.tensor([6, 2, 5, 3])
HELD = [2, 3, 4, 5, 6, 7, 8, 9, 18, 19, 24]
ALL_SPANS = torch.cat((SPANS, SPANS[:1]))


def both(model: Model, ablation: Ablation = Ablation.RESAMPLE) -> tuple[Runs, Runs]:
    """The runs of whole prompts, and confined ones."""
    spans = ALL_SPANS if model.graph.spans else None
    whole = prepare(model, TokenPairs(PAIRS, CHANGED, SCORED, spans), ablation)
    return whole, whole.confined()


def assert_close(got: Tensor, wanted: Tensor, what: str) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9, msg=what)


def check(whole: Runs, confined: Runs, circuits: list[Circuit], parts: Tensor) -> None:
    """Circuits, masks and gradients of both runs."""
    assert confined.positions.tokens is not None
    graph = whole.graph
    assert_close(Executor.of(confined).run(circuits), Executor.of(whole).run(circuits), "circuits")
    full = Executor.of(confined).run([Circuit.full(graph), Circuit.empty(graph)])
    assert_close(full, torch.stack((whole.reference(), whole.none())), "full and empty")
    masks = torch.stack([parts, torch.from_numpy(circuits[0].mask()).double()])
    leaves = [masks.clone().requires_grad_() for _ in range(2)]
    slope = torch.randn(whole.reference().shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    by_masks = [Executor.of(runs).run_masks(leaf) for runs, leaf in zip((confined, whole), leaves, strict=True)]
    assert_close(*(each.detach() for each in by_masks), "masks")
    assert_close(
        *(torch.autograd.grad((slope * each).sum(), leaf)[0] for each, leaf in zip(by_masks, leaves, strict=True)),
        "slopes",
    )
    masked = [MaskedRun(runs, parts) for runs in (confined, whole)]
    assert_close(*(run.logits for run in masked), "masked run")
    assert_close(*(run.edge_gradient(slope) for run in masked), "gradient of masks")
    assert_close(*(Linearisation(runs).edge_scores(slope) for runs in (confined, whole)), "edge scores")
    assert_close(*(Linearisation(runs).sender_scores(slope) for runs in (confined, whole)), "sender scores")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_circuits_masks_and_gradients_are_those_of_whole_prompts(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model = checkpoints.model(architecture)
    whole, confined = both(model)
    assert confined.positions.tokens is not None
    held = confined.positions.tokens.numbers.tolist()
    # what an expert makes of a token may be rounded by which others come to it, so that more seem to change
    assert set(held) >= set(HELD) if architecture in ("mixtral", "qwen2_moe") else held == HELD
    names = [edge.name for edge in model.graph.edges()]
    circuits = [Circuit.from_names(model.graph, circuit) for circuit in random_circuits(names, 4, 1)]
    check(whole, confined, circuits, drawn_parts(model, 0.4))


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "bloom"])
def test_circuits_agree_with_the_oracle(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model, bridge = checkpoints.model(architecture), load_bridge(checkpoints.ungrouped(architecture))
    executor = Executor(model, PAIRS, CHANGED, SCORED)
    assert executor.runs.positions.tokens is not None
    for names in random_circuits(anatomy_of(bridge).edges(), 3, 2):
        wanted = oracle_logits(bridge, PAIRS, CHANGED, SCORED, names, "resample")
        assert_close(executor.run([Circuit.from_names(model.graph, names)])[0], wanted, f"{len(names)} edges")


@pytest.mark.parametrize("name", NATIVES)
def test_so_they_are_of_native_models_which_may_look_back(name: Native) -> None:
    model = native_model(name)
    whole, confined = both(model)
    tokens = confined.positions.tokens
    assert tokens is not None
    if not model.is_causal:
        assert tokens.prompt.bincount().tolist() == [7, 7, 7, 1], "all of a prompt, or what is scored of it"
    names = [edge.name for edge in model.graph.edges()]
    circuits = [Circuit.from_names(model.graph, circuit) for circuit in random_circuits(names, 4, 1)]
    check(whole, confined, circuits, drawn_parts(model, 0.4))


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2", "olmo2"])
def test_so_they_are_where_edges_are_by_position(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture).by_position(NAMES)
    check(*both(model), drawn(model.graph, 4), drawn_parts(model, 0.4))


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_so_they_are_where_nodes_are_split(
    checkpoints: Checkpoints, architecture: Architecture, places: test_all_splits.Places
) -> None:
    model = test_all_splits.split(checkpoints.model(architecture), places)[0]
    check(*both(model), drawn(model.graph, 3), drawn_parts(model, 0.4))


@pytest.mark.parametrize("ablation", [Ablation.ZERO, Ablation.MEAN])
def test_what_is_not_read_is_not_held_whatever_missing_edges_carry(
    checkpoints: Checkpoints, ablation: Ablation
) -> None:
    model = checkpoints.model("gemma2")
    whole, confined = both(model, ablation)
    assert confined.ablated.outputs.shape == whole.ablated.outputs.shape, "one vector of each sender stays one"
    check(whole, confined, drawn(model.graph, 3), drawn_parts(model, 0.4))


def test_what_is_of_each_position_is_not_held_token_by_token(checkpoints: Checkpoints) -> None:
    whole, confined = both(checkpoints.model("gpt2"), Ablation.MEAN_POSITIONAL)
    assert confined is whole


def test_a_single_prompt_is_confined_too(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("gpt2")
    whole = prepare(model, TokenPairs(PAIRS[:1], CHANGED[:1], SCORED[:1]), Ablation.RESAMPLE)
    check(whole, whole.confined(), drawn(model.graph, 2), drawn_parts(model, 0.4))


def test_where_nearly_all_can_change_whole_prompts_are_run(checkpoints: Checkpoints) -> None:
    prompts = TokenPairs(PAIRS, (PAIRS + 9) % 53, torch.full((4,), 6))
    runs = prepare(checkpoints.model("gpt2"), prompts, Ablation.RESAMPLE)
    assert runs.confined() is runs


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2", "bloom", "olmo2", "mixtral"])
@pytest.mark.parametrize("by_position", [False, True])
def test_removals_one_after_the_other_are_circuits_of_whole_prompts(
    checkpoints: Checkpoints, architecture: Architecture, by_position: bool
) -> None:
    model = checkpoints.model(architecture)
    model = model.by_position(NAMES) if by_position else model
    with torch.no_grad():
        whole, confined = both(model)
        walk = Walk(IncrementalExecutor(confined), random.Random(architecture), acceptance=0.6)
        for receiver in reversed(model.graph.receivers):
            walk.receiver(receiver)
        wanted = Executor.of(whole).run(walk.tried)
    assert_close(torch.stack(walk.logits), wanted, "removals")


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "olmo2"])
def test_some_of_the_prompts_are_those_alone(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    whole, confined = both(model)
    circuits, parts = drawn(model.graph, 3), drawn_parts(model, 0.4)
    for prompts in ([2, 0], [1], [3, 1, 1], [3]):
        some = torch.tensor(prompts)
        got = confined.select(some)
        assert got.length == int(SCORED[some].max()) + 1
        assert_close(Executor.of(got).run(circuits), Executor.of(whole).run(circuits)[:, some], f"{prompts}")
        assert_close(MaskedRun(got, parts).logits, MaskedRun(whole, parts).logits[some], f"{prompts}, masked")
        assert_close(got.reference(), whole.reference()[some], f"{prompts}, the whole model")


def test_tokens_are_taken_put_back_and_found() -> None:
    tokens = Tokens(torch.tensor([1, 2, 5]), 2, 3)
    x = torch.arange(12.0).view(1, 2, 3, 2)
    held = tokens.take(x)
    assert held.tolist() == [[[[2, 3], [4, 5], [10, 11]]]]
    assert torch.equal(tokens.put(held, x), x)
    assert tokens.put(held, torch.zeros(1, 1, 2, 3, 2)[0]).flatten().nonzero().squeeze(1).tolist() == [
        2,
        3,
        4,
        5,
        10,
        11,
    ]
    assert tokens.find(torch.tensor([2, 2])).tolist() == [1, 2]
    some, chosen = tokens.select(torch.tensor([1, 0]), 3)
    assert (some.numbers.tolist(), chosen.tolist()) == ([2, 4, 5], [2, 0, 1])
