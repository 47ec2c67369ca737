"""What missing edges carry is what its definition says, whatever is cut off to save work."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadTokens
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.runs import TokenPairs, mean_outputs, prepare
from acdc.graphs.model import Model
from tests.graphs.native_oracle import native_oracle_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS, random_circuits
from tests.native_bridges import Native, native_model

SHORT = torch.tensor([[5, 6, 7], [8, 9, 10]])
LONG = torch.tensor([[11, 12, 13, 14, 15]])
EARLY = torch.tensor([2, 0, 1])
NOISE = torch.tensor([[0, 1], [2, 3], [4, 5]])


@pytest.fixture(scope="module", params=["relu", "attention_only", "bidirectional"])
def model(request: pytest.FixtureRequest) -> Model:
    name: Native = request.param
    return native_model(name)


def outputs(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    return model.trace(model.embed(tokens), model.geometries(tokens.shape[1])).outputs


def test_the_mean_is_over_every_token_of_every_batch(model: Model) -> None:
    short, long = outputs(model, SHORT), outputs(model, LONG)
    tokens = [short[:, row, pos] for row in range(2) for pos in range(3)] + [long[:, 0, pos] for pos in range(5)]
    means = mean_outputs(model, [SHORT, LONG], Ablation.MEAN)
    assert means is not None
    assert means.shape == (len(model.graph.senders), 1, 1, model.graph.d_model)
    torch.testing.assert_close(means[:, 0, 0], sum(tokens) / 11, rtol=0, atol=1e-12)


def test_the_positional_mean_is_over_the_prompts_that_reach_the_position(model: Model) -> None:
    short, long = outputs(model, SHORT), outputs(model, LONG)
    means = mean_outputs(model, [SHORT, LONG], Ablation.MEAN_POSITIONAL)
    assert means is not None
    assert means.shape == (len(model.graph.senders), 1, 5, model.graph.d_model)
    for pos in range(3):
        wanted = (short[:, 0, pos] + short[:, 1, pos] + long[:, 0, pos]) / 3
        torch.testing.assert_close(means[:, 0, pos], wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(means[:, 0, 3:], long[:, 0, 3:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_the_runs_of_some_prompts_are_those_of_these_alone(model: Model, ablation: Ablation) -> None:
    means = mean_outputs(model, [CORRUPT], ablation)
    every = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), ablation, means)
    circuits = [Circuit(model.graph, frozenset([*model.graph.edges()][::step])) for step in (1, 2, 3)]
    for rows in ([1], [2, 0]):
        some = every.select(torch.tensor(rows))
        alone = prepare(model, TokenPairs(CLEAN[rows], CORRUPT[rows], POSITIONS[rows]), ablation, means)
        assert some.delta.shape == alone.delta.shape, "no longer than these need"
        torch.testing.assert_close(some.reference(), alone.reference(), rtol=0, atol=1e-10)
        ran = [Executor.of(runs).run(circuits) for runs in (some, alone)]
        torch.testing.assert_close(*ran, rtol=0, atol=1e-10)


def test_the_order_and_the_split_into_batches_do_not_change_a_mean(model: Model) -> None:
    for ablation in (Ablation.MEAN, Ablation.MEAN_POSITIONAL):
        one = mean_outputs(model, [SHORT, LONG], ablation)
        other = mean_outputs(model, [LONG, SHORT[1:], SHORT[:1]], ablation)
        torch.testing.assert_close(other, one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
def test_the_other_ablations_have_no_mean(model: Model, ablation: Ablation) -> None:
    assert mean_outputs(model, [SHORT], ablation) is None


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_missing_edges_carry_what_the_ablation_says(model: Model, ablation: Ablation) -> None:
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), ablation)
    corrupt = outputs(model, CORRUPT)
    wanted = {
        Ablation.RESAMPLE: corrupt,
        Ablation.MEAN: corrupt.mean(dim=(1, 2), keepdim=True),
        Ablation.MEAN_POSITIONAL: corrupt.mean(dim=1, keepdim=True),
        Ablation.ZERO: torch.zeros_like(corrupt),
    }[ablation].expand_as(corrupt)
    torch.testing.assert_close(runs.ablated.outputs.expand_as(corrupt), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(runs.delta, outputs(model, CLEAN) - wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ablation", [Ablation.MEAN, Ablation.MEAN_POSITIONAL])
def test_a_mean_over_other_prompts_replaces_that_of_the_batch(model: Model, ablation: Ablation) -> None:
    means = mean_outputs(model, [LONG.repeat(1, 2), SHORT], ablation)
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), ablation, means)
    assert means is not None
    length = 1 if ablation is Ablation.MEAN else CLEAN.shape[1]
    assert torch.equal(runs.ablated.outputs, means[:, :, :length])


@pytest.mark.parametrize("name", ["relu", "attention_only", "bidirectional", "attention_only_bare"])
@pytest.mark.parametrize("ablation", UNLEARNED)
def test_cutting_off_what_cannot_be_read_changes_no_circuit(name: Native, ablation: Ablation) -> None:
    """The oracle runs whole prompts, and its means are over them, also when the end is never scored."""
    model = native_model(name)
    circuits = random_circuits([edge.name for edge in model.graph.edges()], 4)
    executor = Executor(model, CLEAN, CORRUPT, EARLY, ablation)
    logits = executor.run([Circuit.from_names(model.graph, names) for names in circuits])
    for got, names in zip(logits, circuits, strict=True):
        wanted = native_oracle_logits(model.bridge, CLEAN, CORRUPT, EARLY, names, ablation.value)
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


def test_only_a_causal_model_is_cut_off_after_the_last_scored_position() -> None:
    for model, length in ((native_model("relu"), 3), (native_model("bidirectional"), 7)):
        runs = prepare(model, TokenPairs(CLEAN, CORRUPT, EARLY), Ablation.RESAMPLE)
        assert runs.delta.shape[2] == length


def test_tokens_after_the_scored_position_matter_to_a_bidirectional_model_only() -> None:
    changed = torch.cat((CLEAN[:, :5], NOISE), dim=1)
    for model, matters in ((native_model("relu"), False), (native_model("bidirectional"), True)):
        one, other = (
            Executor(model, clean, CORRUPT, EARLY).run([Circuit.full(model.graph)]) for clean in (CLEAN, changed)
        )
        assert ((one - other).abs().max() > 1e-3) == matters


def test_the_reference_is_the_model_itself_on_the_clean_prompts(model: Model) -> None:
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.MEAN)
    with torch.no_grad():
        wanted = model.bridge(CLEAN)[ROWS, POSITIONS]
    torch.testing.assert_close(runs.reference(), wanted, rtol=0, atol=1e-10)


def test_the_clean_residual_is_what_the_model_itself_has_there(model: Model) -> None:
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.ZERO)
    length = runs.delta.shape[2]
    with torch.no_grad():
        for layer in (0, 1):
            read = 1 + layer * (model.graph.n_heads + model.graph.has_mlp)
            wanted = model.bridge(CLEAN[:, :length], stop_at_layer=layer)
            torch.testing.assert_close(runs.clean_residual(read), wanted, rtol=0, atol=1e-10)


def test_a_prompt_of_one_token_is_scored_there(model: Model) -> None:
    clean, corrupt = CLEAN[:, :1], CORRUPT[:, :1]
    executor = Executor(model, clean, corrupt, torch.zeros(3, dtype=torch.long))
    full, empty = executor.run([Circuit.full(model.graph), Circuit.empty(model.graph)])
    with torch.no_grad():
        torch.testing.assert_close(full, model.bridge(clean)[:, 0], rtol=0, atol=1e-10)
        torch.testing.assert_close(empty, model.bridge(corrupt)[:, 0], rtol=0, atol=1e-10)


def test_prompts_longer_than_the_model_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = native_model("relu", n_ctx=6)
    with pytest.raises(BadTokens, match="a prompt has 7 tokens but the model reads at most 6; shorten it"):
        prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.RESAMPLE)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(BadTokens, match=r"scored positions \[6, 9, 5\] are not all inside prompts of 7 tokens"):
        TokenPairs(CLEAN, CORRUPT, torch.tensor([6, 9, 5]))


def test_no_prompts_are_refused(model: Model) -> None:
    none = torch.zeros(0, 4, dtype=torch.long)
    with pytest.raises(BadTokens, match="the prompts are empty"):
        prepare(model, TokenPairs(none, none, torch.zeros(0, dtype=torch.long)), Ablation.RESAMPLE)


def test_the_circuit_without_edges_is_the_model_itself_on_the_corrupt_prompts(model: Model) -> None:
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.RESAMPLE)
    from_the_start = Linearisation(runs, runs.clean_residual(1) - runs.delta[0], 1)
    torch.testing.assert_close(runs.none(), from_the_start.logits, rtol=0, atol=1e-10)
    columns = torch.tensor([[3, 0]]).expand(len(CLEAN), -1)
    torch.testing.assert_close(runs.none(columns), runs.none().gather(1, columns), rtol=0, atol=1e-10)
    assert not torch.allclose(runs.none(), runs.reference())
