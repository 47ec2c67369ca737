"""Edges by position: every way to run a circuit does with spans what the oracle does, position by position."""

from __future__ import annotations

import random

import jaxtyping
import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadTokens, DifferentGraphs
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.execution.dropped_layers import sizes_of_effects
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.liveness import Liveness
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.model import Model
from acdc.graphs.nodes import LOGITS
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.oracle import load_bridge, oracle_logits, oracle_outputs
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS

NAMES = ("BOS", "S1", "rest", "END")
SPANS = torch.tensor([[0, 1, 1, 2, 2, 1, 3], [0, 2, 1, 3, 3, 3, 3], [0, 2, 2, 1, 2, 3, 3]])
"""Of each position: S1 stands once or twice, of one token or two, and never at the same place; the second prompt is
scored at its END, the others are not."""
EIGHT: tuple[Architecture, ...] = ("gpt2", "gpt_neox", "llama", "gemma2", "gemma3", "qwen3", "olmo2", "mixtral")


def spanned(model: Model) -> Model:
    return model.by_position(NAMES)


def runs_of(model: Model, ablation: Ablation = Ablation.RESAMPLE) -> Runs:
    return prepare(spanned(model), TokenPairs(CLEAN, CORRUPT, POSITIONS, SPANS), ablation)


def executor_of(model: Model, ablation: Ablation = Ablation.RESAMPLE) -> Executor:
    return Executor.of(runs_of(model, ablation))


def drawn(graph: ComputationalGraph, count: int, seed: int = 0) -> list[Circuit]:
    """Circuits at random, each of its own density, every second of them of few senders."""
    draw, edges = random.Random(seed), list(graph.edges())
    circuits = []
    for density in (draw.uniform(0.1, 0.95) for _ in range(count)):
        senders = graph.senders if len(circuits) % 2 else [graph.senders[0], *draw.sample(graph.senders, 3)]
        circuits.append(Circuit(graph, frozenset(e for e in edges if e.sender in senders and draw.random() < density)))
    return circuits


def at_all_spans(circuit: Circuit, graph: ComputationalGraph) -> Circuit:
    return Circuit(graph, frozenset(edge for edge in graph.edges() if edge.at_every_span in circuit.edges))


@pytest.mark.parametrize("architecture", EIGHT)
def test_random_circuits_by_position_agree_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model = checkpoints.model(architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    written = oracle_outputs(bridge, CORRUPT)
    spans = [[NAMES[number] for number in row] for row in SPANS.tolist()]
    for seed, ablation in enumerate(UNLEARNED):
        circuits = drawn(spanned(model).graph, 3, seed)
        logits = executor_of(model, ablation).run(circuits)
        masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double()
        by_masks = executor_of(model, ablation).run_masks(masks.requires_grad_()).detach()
        for index, circuit in enumerate(circuits):
            names = {edge.name for edge in circuit}
            wanted = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, names, ablation.value, written, spans)
            assert_close(logits[index], wanted, f"{ablation.value}, circuit {index} of {len(circuit)} edges")
            assert_close(by_masks[index], wanted, f"{ablation.value}, masks {index}")
            run = MaskedRun(runs_of(model, ablation), masks[index].detach())
            assert_close(run.logits, wanted, f"{ablation.value}, masked run {index}")


@pytest.mark.parametrize("architecture", EIGHT)
def test_full_empty_and_all_spans_are_what_they_are_without_spans_to_the_last_bit(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model, graph = checkpoints.model(architecture), spanned(checkpoints.model(architecture)).graph
    plain = [Circuit.full(model.graph), Circuit.empty(model.graph), *drawn(model.graph, 4)]
    for ablation in (Ablation.RESAMPLE, Ablation.MEAN):
        executor = Executor.of(prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), ablation))
        other = executor_of(model, ablation)
        everywhere = [at_all_spans(circuit, graph) for circuit in plain]
        assert everywhere[0] == Circuit.full(graph)
        assert torch.equal(other.run(everywhere), executor.run(plain))
        assert_close(other.run(everywhere)[:2], torch.stack((other.runs.reference(), other.runs.none())), "full, empty")
        masks, plain_masks = (
            torch.stack([torch.from_numpy(circuit.mask()) for circuit in some]).double() for some in (everywhere, plain)
        )
        assert torch.equal(other.run_masks(masks), executor.run_masks(plain_masks))
        of_all, of_none = MaskedRun(other.runs, masks[3]), MaskedRun(executor.runs, plain_masks[3])
        assert torch.equal(of_all.logits, of_none.logits)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_one_circuit_at_a_time_gives_what_all_at_once_give(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    executor = executor_of(checkpoints.model(architecture), Ablation.MEAN)
    circuits = drawn(executor.runs.graph, 6)
    assert_close(torch.cat([executor.run([circuit]) for circuit in circuits]), executor.run(circuits), "one per call")
    pruned = [circuit.pruned() for circuit in circuits]
    assert_close(executor.run(pruned), executor.run(circuits), "dead edges")


@pytest.mark.parametrize("architecture", EIGHT)
def test_scores_by_position_add_up_to_those_without_spans(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = checkpoints.model(architecture)
    plain, by_span = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), Ablation.RESAMPLE), runs_of(model)
    slope = torch.randn(plain.reference().shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted, scores = (Linearisation(runs).edge_scores(slope) for runs in (plain, by_span))
    assert_close(added_up(by_span, scores), wanted, "edge scores")
    rows = Linearisation(by_span).row_scores(slope)
    assert_close(rows.sum(0), scores, "rows, added up")
    assert_close(Linearisation(plain).row_scores(slope), torch.stack([added_up(by_span, row) for row in rows]), "rows")
    nodes, others = (Linearisation(runs).sender_scores(slope) for runs in (plain, by_span))
    assert torch.equal(nodes, others)


def added_up(runs: Runs, scores: Tensor) -> Tensor:
    """Scores of receivers added up over spans."""
    return torch.cat((scores[:-1].view(-1, len(NAMES), scores.shape[-1]).sum(1), scores[-1:]))


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_a_score_is_the_slope_of_a_mask(checkpoints: Checkpoints, architecture: Architecture) -> None:
    runs = runs_of(checkpoints.model(architecture), Ablation.MEAN_POSITIONAL)
    slope = torch.randn(runs.reference().shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    masks = torch.from_numpy(Circuit.full(runs.graph).mask())[None].double().requires_grad_()
    (wanted,) = torch.autograd.grad((slope * Executor.of(runs).run_masks(masks)[0]).sum(), masks)
    assert_close(Linearisation(runs).edge_scores(slope), wanted[0], "at the whole model")
    parts = torch.rand(masks.shape[1:], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parts = (parts * (parts > 0.6)).requires_grad_()
    (wanted,) = torch.autograd.grad((slope * Executor.of(runs).run_masks(parts[None])[0]).sum(), parts)
    kept = Liveness.of(runs.graph, (parts != 0)[None]).kept[0]
    assert_close(MaskedRun(runs, parts.detach()).edge_gradient(slope)[kept], wanted[kept], "at parts of some edges")


def test_at_one_span_the_sizes_of_effects_are_those_without_spans(checkpoints: Checkpoints) -> None:
    model, prompts = checkpoints.model("gpt2"), torch.arange(3)
    pairs = TokenPairs(CLEAN, CORRUPT, POSITIONS)
    one = TokenPairs(CLEAN, CORRUPT, POSITIONS, torch.ones_like(SPANS))
    plain, by_span = prepare(model, pairs, Ablation.RESAMPLE), prepare(spanned(model), one, Ablation.RESAMPLE)
    slope = torch.randn(plain.reference().shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted, sizes = (sizes_of_effects(Linearisation(runs), slope, prompts) for runs in (plain, by_span))
    by_input = sizes[:-1].view(-1, len(NAMES), sizes.shape[-1])
    assert_close(torch.cat((by_input[:, 1], sizes[-1:])), wanted, "all positions are of one span")
    assert by_input[:, [0, 2, 3]].count_nonzero() == 0


@pytest.mark.parametrize(
    ("architecture", "ablation"),
    [
        *((name, Ablation.RESAMPLE) for name in ("gpt2", "gpt_neox", "gemma2", "mixtral")),
        ("gpt2", Ablation.MEAN),
    ],
)
def test_removals_one_after_the_other_are_circuits(
    checkpoints: Checkpoints, architecture: Architecture, ablation: Ablation
) -> None:
    """Tried together, tried alone, all but a few at once, and accepted: always what the executor gives."""
    runs, draw = runs_of(checkpoints.model(architecture), ablation), random.Random(3)
    graph, incremental, executor = runs.graph, IncrementalExecutor(runs), Executor.of(runs)
    checked = 0
    for receiver in reversed(graph.receivers):
        if not incremental.begin(receiver):
            continue
        row, senders = graph.receiver_index[receiver], list(range(graph.reads(receiver)))[::-1]
        if draw.random() < 0.2 or receiver.node == LOGITS:
            for together in (True, False):
                tried = incremental.try_removals(receiver, senders[:3], together=together)
                circuits = []
                for count in range(1, len(tried) + 1):
                    kept = incremental.kept.clone()
                    kept[row, senders[:count] if together else senders[count - 1]] = False
                    circuits.append(Circuit.from_mask(graph, kept.numpy()))
                assert_close(tried, executor.run(circuits), f"{receiver} {together}")
                checked += 1
            kept = incremental.kept.clone()
            kept[row, senders[1:]] = False
            wanted = executor.run([Circuit.from_mask(graph, kept.numpy())])
            assert_close(incremental.unembed(incremental.try_keeping(receiver, senders[:1])), wanted, f"{receiver}")
        some = draw.sample(senders, min(len(senders), draw.randint(1, 6)))
        incremental.try_removals(receiver, some)
        incremental.accept(min(len(some), draw.choice([0, 1, 1, 2, 3])))
    assert checked > 10
    incremental.begin(graph.receivers[-1])
    assert_close(incremental.logits[None], executor.run([Circuit.from_mask(graph, incremental.kept.numpy())]), "end")
    again = IncrementalExecutor(runs, kept=incremental.kept, decided=len(graph.receivers))
    assert_close(again.logits, incremental.logits, "started from the end")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
def test_crossed_prompts_run_as_each_pair_does(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model = spanned(checkpoints.model(architecture))
    executor = Executor(
        model,
        CLEAN.repeat_interleave(3, 0),
        CORRUPT.repeat(3, 1),
        torch.full((9,), 5),
        spans=SPANS.repeat_interleave(3, 0),
    )
    for circuit in [Circuit.full(model.graph), Circuit.empty(model.graph), *drawn(model.graph, 4)]:
        crossed = torch.zeros(3, 3, executor.runs.reference().shape[-1], dtype=torch.float64)
        for block in CrossedRun(model, circuit, CLEAN, CORRUPT, 5, SPANS).blocks(4):
            crossed[block.corrupt, block.clean] = block.logits
        assert_close(crossed.transpose(0, 1).flatten(0, 1), executor.run([circuit])[0], f"{len(circuit)} edges")


def test_what_prompts_must_say_of_spans_is_asked_for(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    model = checkpoints.model("gpt2")
    # users run without the shape checks of the test run, which would speak first
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(BadTokens, match="edges by position"):
        Executor(spanned(model), CLEAN, CORRUPT, POSITIONS)
    with pytest.raises(BadTokens, match="one for each position"):
        Executor(spanned(model), CLEAN, CORRUPT, POSITIONS, spans=SPANS[:, :3])
    with pytest.raises(BadTokens, match="wanted one of the graph"):
        Executor(spanned(model), CLEAN, CORRUPT, POSITIONS, spans=SPANS + 1)
    with pytest.raises(BadTokens, match="edges by position"):
        CrossedRun(spanned(model), Circuit.full(spanned(model).graph), CLEAN, CORRUPT, 5)
    with pytest.raises(DifferentGraphs, match="by position"):
        executor_of(model).run([Circuit.full(model.graph)])


def assert_close(got: Tensor, wanted: Tensor, what: str) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9, msg=lambda text: f"{what}: {text}")
