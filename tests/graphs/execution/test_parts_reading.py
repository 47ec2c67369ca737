"""Parts of split MLPs that read for themselves: every way to run a circuit does with them what the oracle does."""

from __future__ import annotations

import random

import pytest
import torch

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.execution.dropped_layers import sizes_of_effects
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.features.splitting import FeatureParts, NeuronParts
from acdc.graphs.model import Model
from acdc.graphs.model.backward_rules import BackwardRules
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.execution.test_splits import (
    EIGHT,
    FEATURES,
    assert_close,
    dictionary,
    drawn,
    runs_of,
    split,
)
from tests.graphs.features.split_oracle import NamedParts, split_logits
from tests.graphs.oracle import load_bridge
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS


def reading(whole: Model, architecture: str = "") -> tuple[Model, dict[int, NamedParts]]:
    """The model with m0 split into neurons and m1 into features, all of which read for themselves; and the oracle's."""
    model, known = split(whole, with_neurons=architecture != "mixtral")
    return model.parts_reading(True), known


def masks_of(circuits: list[Circuit]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double()


@pytest.mark.parametrize(("architecture", "ablation"), list(zip(EIGHT, [*UNLEARNED] * 2, strict=True)))
def test_random_circuits_agree_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture, ablation: Ablation
) -> None:
    model, known = reading(checkpoints.model(architecture), architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    executor, circuits = Executor.of(runs_of(model, ablation)), drawn(model.graph, 2, 1)
    logits, by_masks = executor.run(circuits), executor.run_masks(masks_of(circuits))
    for index, circuit in enumerate(circuits):
        names = {edge.name for edge in circuit.edges}
        wanted = split_logits(
            bridge, (CLEAN, CORRUPT, POSITIONS), known, names, ablation.value, parts_read=model.graph.parts_read
        )
        assert_close(logits[index], wanted, f"circuit {index} of {len(circuit)} edges")
        assert_close(by_masks[index], wanted, f"masks {index}")


@pytest.mark.parametrize("architecture", EIGHT)
def test_the_full_circuit_is_the_clean_run_and_the_empty_one_the_ablated_run(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    whole = checkpoints.model(architecture)
    model, _ = reading(whole, architecture)
    rows, executor = torch.arange(len(POSITIONS)), Executor.of(runs_of(model))
    with torch.no_grad():
        clean, corrupt = (whole.logits(tokens)[rows, POSITIONS] for tokens in (CLEAN, CORRUPT))
    # by masks, so that the full circuit is run and not looked up
    full, empty = executor.run_masks(masks_of([Circuit.full(model.graph), Circuit.empty(model.graph)]))
    assert_close(full, clean, "full")
    assert_close(empty, corrupt, "empty")
    # what is nearly full shares nothing with what is looked up
    nearly = Circuit(model.graph, model.graph.every_edge - {next(model.graph.edges())})
    assert_close(executor.run([nearly])[0], executor.run_masks(masks_of([nearly]))[0], "nearly full")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma3"])
def test_parts_with_the_same_edges_are_the_mlp_that_reads_as_a_whole(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    whole = checkpoints.model(architecture)
    apart, _ = reading(whole)
    together = apart.parts_reading(False)
    for ablation in UNLEARNED:
        circuits = drawn(together.graph, 4, 3)
        wanted = Executor.of(runs_of(together, ablation)).run(circuits)
        same = [
            Circuit(
                apart.graph, frozenset(e for e in apart.graph.edges() if e._replace(receiver=e.receiver.whole) in c)
            )
            for c in circuits
        ]
        assert_close(Executor.of(runs_of(apart, ablation)).run(same), wanted, ablation.value)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gpt_neox"])
def test_every_executor_agrees(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model, _ = reading(checkpoints.model(architecture))
    runs, graph = runs_of(model), model.graph
    circuits = drawn(graph, 4, 1)
    assert any(0 < len(c.pruned()) < len(c) for c in circuits), "no circuit has dead edges"
    wanted = Executor.of(runs).run(circuits)
    assert_close(Executor.of(runs).run([circuit.pruned() for circuit in circuits]), wanted, "without dead edges")
    for circuit, logits in zip(circuits, wanted, strict=True):
        mask = torch.from_numpy(circuit.mask())
        assert_close(MaskedRun(runs, mask.double()).logits, logits, "masked run")
        now = IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers))
        assert_close(now.logits, logits, "current circuit")
        for prompt in range(len(CLEAN)):
            clean, corrupt = CLEAN[prompt : prompt + 1], CORRUPT[prompt : prompt + 1]
            [block] = list(CrossedRun(model, circuit, clean, corrupt, int(POSITIONS[prompt])).blocks())
            assert_close(block.logits[0, 0], logits[prompt], "crossed run")


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_removals_are_those_of_the_circuits_without_the_edges(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model, _ = reading(checkpoints.model(architecture))
    runs, graph = runs_of(model), model.graph
    incremental, kept, draw = IncrementalExecutor(runs), set(graph.every_edge), random.Random(2)
    tried = set()
    for receiver in reversed(graph.receivers):
        edges = graph.incoming(receiver)
        if not incremental.begin(receiver):
            kept -= set(edges)
            continue
        if (receiver.slot or receiver.node.part[:1] == "n") and draw.random() < 0.7:  # there are many
            continue
        tried.add(receiver.node.part[:1])
        numbers = draw.sample(range(len(edges)), min(len(edges), 4))
        logits = incremental.try_removals(receiver, numbers)
        circuits = [Circuit(graph, frozenset(kept - {edges[n] for n in numbers[: c + 1]})) for c in range(len(numbers))]
        assert_close(logits, Executor.of(runs).run(circuits), receiver.name)
        gone = len(numbers) if draw.random() < 0.3 else len(numbers) * 3 // 4
        incremental.accept(gone)
        kept -= {edges[number] for number in numbers[:gone]}
        some = numbers[-2:]
        keeping = incremental.unembed(incremental.try_keeping(receiver, some))[0]
        others = frozenset(kept - {edge for n, edge in enumerate(edges) if n not in some})
        assert_close(keeping, Executor.of(runs).run([Circuit(graph, others)])[0], f"keeping at {receiver.name}")
    assert tried == {"", "n", "f", "r", "e"}


def of_runs(runs: Runs) -> torch.Tensor:
    """Some function's gradient at the logits."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(3, runs.model.unembedding.weight.shape[0], dtype=torch.float64, generator=generator)


def slopes(runs: Runs, masks: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The same gradient at every part of an edge, by autograd through one whole run."""
    masks = masks[None].clone().requires_grad_()
    (found,) = torch.autograd.grad(Executor.of(runs).run_masks(masks), masks, gradient[None])
    return found[0]


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gpt_neox"])
def test_scores_are_slopes_and_add_up_to_those_of_the_mlp(
    checkpoints: Checkpoints, architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = reading(checkpoints.model(architecture))
    runs, graph = runs_of(model), model.graph
    gradient = of_runs(runs)
    full = torch.from_numpy(Circuit.full(graph).mask())
    scores = Linearisation(runs).edge_scores(gradient)
    torch.testing.assert_close(scores, slopes(runs, full.double(), gradient) * full, rtol=0, atol=1e-9)
    torch.testing.assert_close(MaskedRun(runs, full.double()).edge_gradient(gradient), scores, rtol=0, atol=1e-9)
    monkeypatch.setattr("acdc.graphs.execution.linear_layer._NUMBERS", 3 * runs.delta[0].numel())  # three at a time
    torch.testing.assert_close(Linearisation(runs).row_scores(gradient).sum(0), scores, rtol=0, atol=1e-9)
    together = runs_of(model.parts_reading(False))
    known = Linearisation(together).edge_scores(gradient)
    for layer, other in zip(graph.layers, together.graph.layers, strict=True):
        assert layer.mlp is not None
        assert other.mlp is not None
        parts = scores[layer.mlp.receivers.start : layer.mlp.receivers.stop].sum(0)
        torch.testing.assert_close(parts, known[other.mlp.receivers.start], rtol=0, atol=1e-9)


def test_gradients_at_circuits_and_parts_of_edges_are_slopes(checkpoints: Checkpoints) -> None:
    model, _ = reading(checkpoints.model("gpt2"))
    runs, gradient = runs_of(model), of_runs(runs_of(model))
    weights = torch.rand(len(model.graph.receivers), len(model.graph.senders), dtype=torch.float64)
    for circuit in drawn(model.graph, 3, 4):
        mask = torch.from_numpy(circuit.pruned().mask()) * weights
        found = MaskedRun(runs, mask).edge_gradient(gradient)
        wanted = slopes(runs, mask, gradient)
        torch.testing.assert_close(found[mask != 0], wanted[mask != 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("rules", BackwardRules)
def test_by_every_rule_parts_add_up_to_their_mlp(checkpoints: Checkpoints, rules: BackwardRules) -> None:
    for architecture in ("gpt2", "gemma2"):
        model, _ = reading(checkpoints.model(architecture))  # type: ignore[arg-type]
        runs, together = runs_of(model), runs_of(model.parts_reading(False))
        gradient = of_runs(runs)
        scores = Linearisation(runs, rules=rules).edge_scores(gradient)
        known = Linearisation(together, rules=rules).edge_scores(gradient)
        for layer, other in zip(model.graph.layers, together.graph.layers, strict=True):
            assert layer.mlp is not None
            assert other.mlp is not None
            parts = scores[layer.mlp.receivers.start : layer.mlp.receivers.stop].sum(0)
            torch.testing.assert_close(parts, known[other.mlp.receivers.start], rtol=0, atol=1e-9)


def test_estimates_that_leave_out_layers_have_parts_too(checkpoints: Checkpoints) -> None:
    model, _ = reading(checkpoints.model("gpt2"))
    runs = runs_of(model)
    gradient = of_runs(runs)
    sizes = sizes_of_effects(Linearisation(runs), gradient, torch.arange(3))
    layer = model.graph.layers[-1].mlp  # whose edges have estimates that all leave out another layer
    assert layer is not None
    assert sizes.shape == (len(model.graph.receivers), len(model.graph.senders))
    full = torch.from_numpy(Circuit.full(model.graph).mask())
    assert not (sizes * ~full).any()
    # to leave out the layers before m1 changes no gradient at its parts; to leave out the last does
    m1 = model.graph.layers[1].mlp
    assert m1 is not None
    rows = slice(m1.receivers.start, m1.receivers.stop)
    whole = Linearisation(runs).row_scores(gradient)[:, rows].abs().sum(0)
    assert (sizes[rows] * 2 >= whole - 1e-9).all()
    assert whole.any()


@pytest.mark.parametrize("reads", ["mlp_in", "resid_mid"])
def test_features_of_a_transcoder_read_too(checkpoints: Checkpoints, reads: str) -> None:
    whole = checkpoints.model("llama")
    parts = FeatureParts.of(whole, dictionary(whole, 1, reads), range(FEATURES))
    model = whole.split({0: NeuronParts.of(whole, 0), 1: parts}).parts_reading(True)
    runs, circuits = runs_of(model), drawn(model.graph, 3, 6)
    wanted = Executor.of(runs).run(circuits)
    assert_close(Executor.of(runs).run_masks(masks_of(circuits)), wanted, "masks")
    with torch.no_grad():
        clean = whole.logits(CLEAN)[torch.arange(len(POSITIONS)), POSITIONS]
    assert_close(Executor.of(runs).run_masks(masks_of([Circuit.full(model.graph)]))[0], clean, "full")


def test_parts_that_read_and_spans_go_together(checkpoints: Checkpoints) -> None:
    whole = checkpoints.model("gpt2")
    plain, _ = reading(whole)
    model = plain.by_position(("first", "last"))
    spans = (torch.arange(CLEAN.shape[1]) > 3).long().expand_as(CLEAN)
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS, spans), Ablation.RESAMPLE)
    graph = model.graph
    assert len(list(graph.edges())) == graph.n_edges
    circuits = drawn(graph, 3, 5)
    wanted = Executor.of(runs).run(circuits)
    assert_close(Executor.of(runs).run_masks(masks_of(circuits)), wanted, "masks")
    for circuit, logits in zip(circuits, wanted, strict=True):
        mask = torch.from_numpy(circuit.mask())
        assert_close(MaskedRun(runs, mask.double()).logits, logits, "masked run")
        now = IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers))
        assert_close(now.logits, logits, "current circuit")
        for prompt in range(len(CLEAN)):
            one = slice(prompt, prompt + 1)
            crossed = CrossedRun(model, circuit, CLEAN[one], CORRUPT[one], int(POSITIONS[prompt]), spans[one])
            [block] = list(crossed.blocks())
            assert_close(block.logits[0, 0], logits[prompt], "crossed run")
    gradient = of_runs(runs)
    full = torch.from_numpy(Circuit.full(graph).mask())
    scores = Linearisation(runs).edge_scores(gradient)
    torch.testing.assert_close(scores, slopes(runs, full.double(), gradient) * full, rtol=0, atol=1e-9)
    # a circuit with its edges at both spans is the one without spans
    [without] = drawn(plain.graph, 1, 7)
    spanned = Circuit(graph, frozenset(edge for edge in graph.edges() if edge.at_every_span in without))
    assert_close(Executor.of(runs).run([spanned]), Executor.of(runs_of(plain)).run([without]), "at all spans")
