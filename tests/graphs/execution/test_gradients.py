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
from acdc.graphs.execution import linear_layer
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.model import Model, parts
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.mlp import FeedForward
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
    monkeypatch.setattr(linear_layer, "KEPT", 0)
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


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "gemma2", "attention_only"])
def test_row_scores_are_those_of_each_row_alone(load: Load, name: str) -> None:
    pair = load(name)
    coefficients = pair.coefficients()
    got = Linearisation(pair.runs()).row_scores(coefficients)
    for row in range(len(CLEAN)):
        alone = torch.zeros_like(coefficients)
        alone[row] = coefficients[row]
        close(got[row], Linearisation(pair.runs()).edge_scores(alone), f"row {row}")


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


# Other rules


def scaled(norm: parts.Norm, x: Tensor) -> Tensor:
    """A norm whose scale is a constant."""
    if norm.kind == "none":
        return x
    centred = x - x.mean(-1, keepdim=True) if norm.kind == "layer" else x
    made = centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt().detach()
    made = made if norm.weight is None else made * norm.weight
    return made if norm.bias is None else made + norm.bias


class Shared(torch.autograd.Function):
    """What it is given, and half of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, at: Tensor) -> Tensor:
        return at / 2


class Softer(torch.autograd.Function):
    """A softmax, and the derivative at half the scores."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        ctx.save_for_backward(scores)
        return scores.softmax(-1)

    @staticmethod
    def backward(ctx: Any, at: Tensor) -> Tensor:
        softer = (ctx.saved_tensors[0] / 2).softmax(-1)
        return softer * (at - (softer * at).sum(-1, keepdim=True))


def whole_model(runs: Runs, residual: Tensor, rules: BackwardRules) -> Tensor:
    """The logits from the embeddings on, in one piece for autograd, with the rules written once more."""
    relevance = rules is BackwardRules.RELEVANCE
    of_product: Callable[[Tensor], Tensor] = Shared.apply if not relevance else lambda x: x
    softmax: Callable[[Tensor], Tensor] = Softer.apply if not relevance else lambda x: x.softmax(-1)
    for run in runs.layers:
        attention, geometry, made = run.layer.attention, run.geometry, []
        for part in (attention.query, attention.key, attention.value):
            linear = part.linear(
                scaled(attention.norm, residual).expand(run.layer.attention.output.weight.shape[0], *residual.shape)
            )
            made.append(scaled(part.norm.norm, linear))
        q, k, v = geometry.rotate(made[0]), geometry.rotate(made[1]), made[2]
        scores = of_product(q @ k.transpose(-2, -1) * attention.scores.scale)
        cap = attention.scores.soft_cap
        scores = scores if cap is None else cap * torch.tanh(scores / cap)
        gathered = of_product(softmax(scores.masked_fill(~geometry.allowed, -torch.inf)) @ v)
        wrote = torch.einsum("hbpk,hkd->bpd", gathered, attention.output.weight)
        after = residual + (wrote if run.scales.heads is None else wrote * run.scales.heads) + attention.output.bias
        mlp = run.layer.mlp
        assert mlp is not None
        assert isinstance(mlp.inner, FeedForward)
        inner, normed = mlp.inner, scaled(mlp.norm, residual if runs.graph.parallel else after)
        hidden = torch.nn.functional.linear(normed, *inner.into)
        before = hidden if inner.gate is None else torch.nn.functional.linear(normed, *inner.gate)
        active = inner.activation(before)
        active = before * (active / before).detach() if relevance else active
        hidden = active if inner.gate is None else Shared.apply(active * hidden)
        residual = after + mlp.scale * scaled(mlp.post_norm, torch.nn.functional.linear(hidden, *inner.out))
    unembedding, final = runs.model.unembedding, runs.scored(residual).squeeze(-2)
    logits = torch.nn.functional.linear(scaled(unembedding.norm, final), unembedding.weight, unembedding.bias)
    return logits if unembedding.soft_cap is None else unembedding.soft_cap * torch.tanh(logits / unembedding.soft_cap)


OTHERS = (BackwardRules.RELEVANCE, BackwardRules.INTERACTION)
other_rules = pytest.mark.parametrize("rules", OTHERS, ids=[rules.value for rules in OTHERS])


@other_rules
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "qwen3", "gemma2"])
def test_by_other_rules_the_gradient_is_that_of_the_whole_model_written_with_them(
    load: Load, name: str, rules: BackwardRules
) -> None:
    """Layer norms and RMS norms, parallel layers, plain and gated MLPs, norms of heads and after parts, soft caps."""
    pair = load(name)
    runs, coefficients = pair.runs(), pair.coefficients()
    run = Linearisation(runs, rules=rules)
    run.edge_scores(coefficients)
    start = runs.clean_residual(1).requires_grad_()
    logits = whole_model(runs, start, rules)
    torch.testing.assert_close(logits, run.logits, rtol=0, atol=1e-10)
    (wanted,) = torch.autograd.grad(logits, start, coefficients)
    close(run.at_start, wanted, name)


@other_rules
@pytest.mark.parametrize("name", [*ARCHITECTURES, *NATIVES])
def test_other_rules_change_scores_of_all_edges_together_and_no_logit(
    load: Load, name: str, rules: BackwardRules
) -> None:
    """A sender's score is that of its edges by any rules; a model without norms, gates and attention has none."""
    pair = load(name)
    runs, coefficients = pair.runs(), pair.coefficients()
    ours, theirs = Linearisation(runs, rules=rules), Linearisation(runs)
    assert torch.equal(ours.logits, theirs.logits)
    scores = ours.edge_scores(coefficients)
    close(Linearisation(runs, rules=rules).sender_scores(coefficients).sum(1), scores.sum(0), name)
    same = torch.allclose(scores, theirs.edge_scores(coefficients), rtol=0.01)
    assert same == (rules is BackwardRules.RELEVANCE and name == "attention_only_bare")
    assert scores.count_nonzero() == pair.graph.n_edges, "edges into queries and keys score as well"


@other_rules
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "mixtral"])
def test_long_prompts_get_the_same_scores_by_other_rules(
    load: Load, name: str, rules: BackwardRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = load(name)
    runs, coefficients = pair.runs(), pair.coefficients()
    scores = Linearisation(runs, rules=rules).edge_scores(coefficients)
    monkeypatch.setattr(parts, "SCORES", 1)
    monkeypatch.setattr(parts, "_QUERIES", 2)
    monkeypatch.setattr(linear_layer, "KEPT", 0)
    again = Linearisation(runs, rules=rules).edge_scores(coefficients)
    torch.testing.assert_close(again, scores, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["llama", "gemma3", "phi3"])
def test_relevance_is_conserved_from_the_logits_to_the_embeddings(load: Load, name: str) -> None:
    """In a model without biases, on prompts of one token, whose pattern is 1: all of the function is `input`'s."""
    model = load(name).model
    clean, corrupt = CLEAN[:, :1], CORRUPT[:, :1]
    runs = prepare(model, TokenPairs(clean, corrupt, torch.zeros_like(POSITIONS)), Ablation.ZERO)
    coefficients = load(name).coefficients()
    conserved, missed = (
        Linearisation(runs, rules=rules).sender_scores(coefficients)[0]
        for rules in (BackwardRules.RELEVANCE, BackwardRules.GRADIENT)
    )
    wanted = (runs.reference() * coefficients).sum(1)
    close(conserved, wanted, name)
    assert not torch.allclose(missed, wanted, rtol=0.1)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, torch.bfloat16) for name in ARCHITECTURES] + [(name, torch.float16) for name in ("gpt2", "gemma2")],
)
def test_in_half_precision_scores_by_other_rules_are_those_of_float64_to_rounding(
    checkpoints: Checkpoints, name: Architecture, dtype: torch.dtype
) -> None:
    pairs = TokenPairs(CLEAN, CORRUPT, POSITIONS)
    both = [prepare(checkpoints.model(name, each), pairs, Ablation.RESAMPLE) for each in (dtype, torch.float64)]
    size = (len(CLEAN), both[0].model.unembedding.weight.shape[0])
    slopes = torch.randn(size, generator=torch.Generator().manual_seed(5))
    off = {}
    for rules in BackwardRules:
        half, exact = (Linearisation(runs, rules=rules).edge_scores(slopes.to(runs.delta.dtype)) for runs in both)
        assert half.isfinite().all()
        off[rules] = float((half - exact).abs().max() / exact.abs().max())
    assert max(off[rules] for rules in OTHERS) < max(0.1, 2 * off[BackwardRules.GRADIENT]), (
        "as far as the run is rounded"
    )
