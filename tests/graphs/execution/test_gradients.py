"""Scores of all edges are the derivatives of the independent oracle in the weights of its edges."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.execution import gradients
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.model import Model, parts
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.native_oracle import native_oracle_outputs, native_oracle_weighted_logits
from tests.graphs.oracle import Outputs, load_bridge, oracle_outputs, oracle_weighted_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS
from tests.native_bridges import NATIVES, native_model

COLUMNS = torch.tensor([[7, 30], [8, 31], [9, 19]])


@dataclass(frozen=True)
class Pair:
    """A model and the oracle that speaks for it: logits by weights of the edges, and what senders write."""

    model: Model
    weighted_logits: Callable[..., Tensor]
    outputs: Callable[[Tensor], Outputs]

    @property
    def graph(self) -> ComputationalGraph:
        return self.model.graph

    def runs(self, ablation: Ablation = Ablation.RESAMPLE) -> Runs:
        return prepare(self.model, TokenPairs(CLEAN, CORRUPT, POSITIONS), ablation)

    def coefficients(self) -> Tensor:
        """A function of the logits, linear and otherwise arbitrary; about as large as a mean over the vocabulary."""
        size = (len(CLEAN), self.model.unembedding.weight.shape[0])
        return torch.randn(size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def wanted(self, coefficients: Tensor, ablation: Ablation, start: Outputs | None = None) -> Tensor:
        """The derivative of that function in the weight of every edge, as [receiver, sender]."""
        weights = torch.ones(self.graph.n_edges, dtype=torch.float64, requires_grad=True)
        logits = self.weighted_logits(CLEAN, CORRUPT, POSITIONS, weights, ablation.value, start)
        (gradient,) = torch.autograd.grad((coefficients * logits).sum(), weights)
        scores = torch.zeros(len(self.graph.receivers), len(self.graph.senders), dtype=torch.float64)
        for (row, column), value in zip(self.graph.edge_indices.values(), gradient, strict=True):
            scores[row, column] = value
        return scores


Load = Callable[[str], Pair]


@pytest.fixture(scope="module")
def load(checkpoints: Checkpoints) -> Load:
    """Models in float64 with their oracles, by the name of the architecture or of the native bridge."""
    loaded: dict[str, Pair] = {}

    def of_architecture(name: Architecture) -> Pair:
        model = checkpoints.model(name)
        bridge = load_bridge(checkpoints.ungrouped(name))
        return Pair(model, partial(oracle_weighted_logits, bridge), partial(oracle_outputs, bridge))

    def load(name: str) -> Pair:
        if name not in loaded:
            for native in NATIVES:
                if native == name:
                    model = native_model(native)
                    weighted = partial(native_oracle_weighted_logits, model.bridge)
                    loaded[name] = Pair(model, weighted, partial(native_oracle_outputs, model.bridge))
            for architecture in ARCHITECTURES:
                if architecture == name:
                    loaded[name] = of_architecture(architecture)
        return loaded[name]

    return load


def close(got: Tensor, wanted: Tensor, what: str) -> None:
    assert wanted.abs().max() > 0.1, "agreement on next to nothing would say nothing"
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-8, msg=lambda text: f"{what}: {text}")


@pytest.mark.parametrize("name", [*ARCHITECTURES, *NATIVES])
def test_scores_are_the_derivatives_of_the_oracle(load: Load, name: str) -> None:
    pair = load(name)
    coefficients = pair.coefficients()
    for ablation in (Ablation.RESAMPLE, Ablation.MEAN, Ablation.ZERO):
        scores = Linearisation(pair.runs(ablation)).edge_scores(coefficients)
        wanted = pair.wanted(coefficients, ablation)
        assert (wanted != 0).sum() == pair.graph.n_edges, "every edge must matter"
        close(scores, wanted, ablation.value)


@pytest.mark.parametrize("name", ["gpt2", "bloom", "gemma2", "mistral", "mixtral", "bidirectional"])
def test_long_prompts_get_the_same_scores_and_logits_some_queries_at_a_time(
    load: Load, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if prompts of these few tokens were long: two queries at a time, and MLPs computed again for the gradient."""
    pair = load(name)
    coefficients, whole = pair.coefficients(), pair.runs()
    scores = Linearisation(whole).edge_scores(coefficients)
    gathered: list[int] = []
    monkeypatch.setattr(parts, "SCORES", 1)
    monkeypatch.setattr(parts, "_QUERIES", 2)
    monkeypatch.setattr(gradients, "KEPT", 0)
    gather = parts.Attention._gather

    def noted(self: parts.Attention, q: Tensor, *others: Any, **named: Any) -> Tensor:
        gathered.append(q.shape[-2])
        return gather(self, q, *others, **named)

    monkeypatch.setattr(parts.Attention, "_gather", noted)
    runs = pair.runs()
    assert max(gathered) == 2
    torch.testing.assert_close(runs.delta, whole.delta, rtol=0, atol=1e-12)
    torch.testing.assert_close(Linearisation(runs).edge_scores(coefficients), scores, rtol=0, atol=1e-10)
    assert max(gathered) == 2


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "qwen3", "gemma2", "bidirectional"])
def test_finite_differences_of_the_oracle_say_the_same(load: Load, name: str) -> None:
    pair, step = load(name), 1e-5
    coefficients, edges = pair.coefficients(), list(pair.graph.edge_indices.items())
    scores = Linearisation(pair.runs()).edge_scores(coefficients)
    for number in random.Random(name).sample(range(len(edges)), 5):
        values = []
        for side in (1, -1):
            weights = torch.ones(len(edges), dtype=torch.float64)
            weights[number] += side * step
            with torch.no_grad():
                logits = pair.weighted_logits(CLEAN, CORRUPT, POSITIONS, weights, "resample")
            values.append(float((coefficients * logits).sum()))
        edge, index = edges[number]
        assert float(scores[index]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-6), edge


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma2", "mistral", "attention_only", "solu_ln"])
def test_a_run_may_start_anywhere_from_anything(load: Load, name: str) -> None:
    """From each place where a residual stream is read: the clean one there, with noise on what `input` wrote."""
    pair = load(name)
    graph, runs, coefficients = pair.graph, pair.runs(), pair.coefficients()
    clean = pair.outputs(CLEAN)
    noise = torch.randn(clean["input"].shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    inputs: Outputs = clean | {"input": clean["input"] + noise}
    starts = sorted({graph.reads(receiver) for receiver in graph.receivers})
    assert len(starts) > graph.n_layers
    for read in starts:
        residual = runs.clean_residual(read) + noise[:, : runs.delta.shape[2]]
        scores = Linearisation(runs, residual, read).edge_scores(coefficients)
        start = {sender.name: inputs[sender.name] for sender in graph.senders[:read]}
        wanted = pair.wanted(coefficients, Ablation.RESAMPLE, start)
        for row, receiver in enumerate(graph.receivers):
            if graph.reads(receiver) < read:
                assert not wanted[row].any(), "the oracle, too, finds no effect on what is given"
        close(scores, wanted, f"started after {read} senders")


def test_only_the_wanted_senders_are_scored(load: Load) -> None:
    pair = load("gpt2")
    runs, coefficients = pair.runs(), pair.coefficients()
    everything = Linearisation(runs).edge_scores(coefficients)
    for senders in (range(1), range(2, 7), range(len(pair.graph.senders))):
        some = Linearisation(runs).edge_scores(coefficients, senders)
        inside = slice(senders.start, senders.stop)
        torch.testing.assert_close(some[:, inside], everything[:, inside], rtol=0, atol=1e-12)
        assert some.count_nonzero() == everything[:, inside].count_nonzero() > 0


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_columns_are_those_of_the_whole_vocabulary(load: Load, name: str) -> None:
    """Gemma 2 caps its logits, each by itself."""
    pair = load(name)
    some = pair.coefficients()[:, :2]
    run = Linearisation(pair.runs(), columns=COLUMNS)
    torch.testing.assert_close(run.logits, Linearisation(pair.runs()).logits.gather(1, COLUMNS), rtol=0, atol=1e-12)
    coefficients = torch.zeros_like(pair.coefficients()).scatter(1, COLUMNS, some)
    close(run.edge_scores(some), pair.wanted(coefficients, Ablation.RESAMPLE), "columns")


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma3", "attention_only"])
def test_its_logits_are_those_of_the_run_without_history(load: Load, name: str) -> None:
    pair = load(name)
    runs = pair.runs()
    for read in (1, len(pair.graph.senders)):
        run = Linearisation(runs, runs.clean_residual(read), read)
        torch.testing.assert_close(run.logits, runs.reference(), rtol=0, atol=1e-10)
        assert not run.logits.requires_grad


@pytest.mark.parametrize("name", [*ARCHITECTURES, "attention_only"])
def test_a_sender_s_score_on_a_prompt_is_that_of_its_edges_on_it(load: Load, name: str) -> None:
    pair = load(name)
    coefficients = pair.coefficients()
    got = Linearisation(pair.runs()).sender_scores(coefficients)
    for prompt in range(len(CLEAN)):
        alone = torch.zeros_like(coefficients)
        alone[prompt] = coefficients[prompt]
        close(got[:, prompt], Linearisation(pair.runs()).edge_scores(alone).sum(0), f"prompt {prompt}")


def test_scores_of_half_the_function_are_half_the_scores(load: Load) -> None:
    pair = load("llama")
    whole, half = (Linearisation(pair.runs()).edge_scores(pair.coefficients() * part) for part in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_scores_of_a_small_function_are_not_lost(
    checkpoints: Checkpoints, dtype: torch.dtype
) -> None:
    """Scaled by a power of two below what float16 can hold, they are the same scores, scaled."""
    model = checkpoints.model("llama", dtype)
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.RESAMPLE)
    size = (len(CLEAN), model.unembedding.weight.shape[0])
    slopes = torch.randn(size, generator=torch.Generator().manual_seed(5))
    small = Linearisation(runs).edge_scores(slopes * 2.0**-30) * 2.0**30
    scores = Linearisation(runs).edge_scores(slopes)
    assert torch.equal(small, scores)
    wanted = checkpoints.model("llama")
    exact = prepare(wanted, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.RESAMPLE)
    right = Linearisation(exact).edge_scores(slopes.double())
    assert (scores - right).abs().max() < 0.05 * right.abs().max()
    senders = Linearisation(runs).sender_scores(slopes * 2.0**-30) * 2.0**30
    assert torch.equal(senders, Linearisation(runs).sender_scores(slopes))
