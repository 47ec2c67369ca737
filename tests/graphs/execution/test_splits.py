"""Split MLPs: every way to run a circuit does with neurons and features what the oracle does."""

from __future__ import annotations

import random

import jaxtyping
import pytest
import torch
from torch import Tensor

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadDictionary, DifferentGraphs
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.features.activation import Rectified
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder
from acdc.graphs.features.hooks import Hook
from acdc.graphs.features.splitting import FeatureParts, NeuronParts
from acdc.graphs.mib import to_mib
from acdc.graphs.model import Model
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.features.split_oracle import NamedParts, features, neurons, split_logits
from tests.graphs.oracle import load_bridge
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS

EIGHT: tuple[Architecture, ...] = ("gpt2", "gpt_neox", "llama", "gemma2", "gemma3", "qwen3", "olmo2", "mixtral")
FEATURES, CHOSEN = 12, [1, 4, 5, 9]


def dictionary(model: Model, layer: int, reads: str = "mlp_out") -> Dictionary:
    """A bad dictionary, drawn at random: nothing here depends on its being good."""
    generator, width = torch.Generator().manual_seed(layer), model.graph.d_model
    weights = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((width, FEATURES),) * 2)
    encoder, decoder = next(weights), next(weights).T.contiguous() / 3
    bias, centre = torch.randn(2, FEATURES, generator=generator, dtype=torch.float64) / 2
    made = Encoder(encoder, bias, Rectified())
    place = Hook("mlp_out", layer)
    return Dictionary("drawn", made, Decoder(decoder, centre.new_ones(width)), Hook(reads, layer), place)  # type: ignore[arg-type]


def split(model: Model, *, with_neurons: bool = True) -> tuple[Model, dict[int, NamedParts]]:
    """The model with m0 split into neurons and m1 into features; and the same for the oracle."""
    drawn = dictionary(model, 1)
    parts = {1: FeatureParts.of(model, drawn, CHOSEN)}
    known = {1: features(1, drawn.encoder.weight, drawn.encoder.bias, drawn.decoder.weight, CHOSEN)}
    if with_neurons:
        parts[0] = NeuronParts.of(model, 0)
        known[0] = neurons(0, len(parts[0].names))
    return model.split(parts), known


def runs_of(model: Model, ablation: Ablation = Ablation.RESAMPLE) -> Runs:
    return prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS), ablation)


def drawn(graph: ComputationalGraph, count: int, seed: int = 0) -> list[Circuit]:
    """Circuits at random, each of its own density, every second of them of few senders."""
    draw, edges = random.Random(seed), list(graph.edges())
    circuits = []
    for density in (draw.uniform(0.2, 0.95) for _ in range(count)):
        senders = graph.senders if len(circuits) % 2 else [graph.senders[0], *draw.sample(graph.senders, 8)]
        circuits.append(Circuit(graph, frozenset(e for e in edges if e.sender in senders and draw.random() < density)))
    return circuits


@pytest.mark.parametrize(("architecture", "ablation"), list(zip(EIGHT, [*UNLEARNED] * 2, strict=True)))
def test_random_circuits_of_parts_agree_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture, ablation: Ablation
) -> None:
    whole = checkpoints.model(architecture)
    model, known = split(whole, with_neurons=architecture != "mixtral")
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    executor, circuits = Executor.of(runs_of(model, ablation)), drawn(model.graph, 2, 1)
    logits = executor.run(circuits)
    by_masks = executor.run_masks(torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double())
    for index, circuit in enumerate(circuits):
        names = {edge.name for edge in circuit.edges}
        wanted = split_logits(bridge, (CLEAN, CORRUPT, POSITIONS), known, names, ablation.value)
        assert_close(logits[index], wanted, f"circuit {index} of {len(circuit)} edges")
        assert_close(by_masks[index], wanted, f"masks {index}")


@pytest.mark.parametrize("architecture", EIGHT)
def test_the_full_circuit_is_the_clean_run_and_the_empty_one_the_ablated_run(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    whole = checkpoints.model(architecture)
    model, _ = split(whole, with_neurons=architecture != "mixtral")
    rows, runs, graph = torch.arange(len(POSITIONS)), runs_of(model), model.graph
    full, empty = Executor.of(runs).run([Circuit.full(graph), Circuit.empty(graph)])
    with torch.no_grad():
        clean, corrupt = (whole.logits(tokens)[rows, POSITIONS] for tokens in (CLEAN, CORRUPT))
    assert_close(full, clean, "full")
    assert_close(empty, corrupt, "empty")
    assert (clean - corrupt).abs().max() > 0.1
    # by masks, so that the full circuit is run and not looked up
    by_masks = Executor.of(runs).run_masks(torch.from_numpy(Circuit.full(graph).mask())[None].double())[0]
    assert_close(by_masks, clean, "masks of 1")


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3"])
def test_edges_from_all_parts_are_the_edge_of_the_whole(checkpoints: Checkpoints, architecture: Architecture) -> None:
    whole = checkpoints.model(architecture)
    model, _ = split(whole)
    circuits = drawn(whole.graph, 3, 3)
    for ablation in (Ablation.RESAMPLE, Ablation.MEAN_POSITIONAL):
        wanted = Executor.of(runs_of(whole, ablation)).run(circuits)
        apart = [Circuit(model.graph, frozenset(e for e in model.graph.edges() if of_whole(e) in c)) for c in circuits]
        assert_close(Executor.of(runs_of(model, ablation)).run(apart), wanted, ablation.value)


def of_whole(edge):  # type: ignore[no-untyped-def]
    return edge._replace(sender=edge.sender.whole)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_every_executor_agrees_on_parts(checkpoints: Checkpoints, architecture: Architecture) -> None:
    model, _ = split(checkpoints.model(architecture))
    runs, graph = runs_of(model), model.graph
    circuits = drawn(graph, 2, 1)
    wanted = Executor.of(runs).run(circuits)
    for circuit, logits in zip(circuits, wanted, strict=True):
        mask = torch.from_numpy(circuit.mask())
        assert_close(MaskedRun(runs, mask.double()).logits, logits, "masked run")
        now = IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers))
        assert_close(now.logits, logits, "current circuit")
        for prompt in range(len(CLEAN)):
            clean, corrupt = CLEAN[prompt : prompt + 1], CORRUPT[prompt : prompt + 1]
            crossed = CrossedRun(model, circuit, clean, corrupt, int(POSITIONS[prompt]))
            [block] = list(crossed.blocks())
            assert_close(block.logits[0, 0], logits[prompt], "crossed run")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox"])
def test_removals_of_parts_are_those_of_the_circuits_without_them(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model, _ = split(checkpoints.model(architecture))
    runs, graph = runs_of(model), model.graph
    incremental, kept, draw = IncrementalExecutor(runs), set(graph.every_edge), random.Random(2)
    for receiver in reversed(graph.receivers):
        edges = graph.incoming(receiver)
        if not incremental.begin(receiver):
            kept -= set(edges)
            continue
        numbers = draw.sample(range(len(edges)), min(len(edges), 4))
        tried = incremental.try_removals(receiver, numbers)
        circuits = [Circuit(graph, frozenset(kept - {edges[n] for n in numbers[: c + 1]})) for c in range(len(numbers))]
        assert_close(tried, Executor.of(runs).run(circuits), receiver.name)
        incremental.accept(len(numbers) * 3 // 4)
        kept -= {edges[number] for number in numbers[: len(numbers) * 3 // 4]}
        some = numbers[-2:]
        keeping = incremental.unembed(incremental.try_keeping(receiver, some))[0]
        others = frozenset(kept - {edge for n, edge in enumerate(edges) if n not in some})
        assert_close(keeping, Executor.of(runs).run([Circuit(graph, others)])[0], f"keeping at {receiver.name}")


def test_the_scores_of_parts_add_up_to_those_of_the_whole_and_are_slopes(checkpoints: Checkpoints) -> None:
    whole = checkpoints.model("gpt2")
    model, _ = split(whole)
    runs = runs_of(model)
    gradient = torch.randn(3, runs.model.unembedding.weight.shape[0], dtype=torch.float64)
    scores = Linearisation(runs).edge_scores(gradient)
    known = Linearisation(runs_of(whole)).edge_scores(gradient)
    for layer in range(model.graph.n_layers):
        parts = model.graph.mlp_senders(layer)
        together = scores[:, parts.start : parts.stop].sum(1)
        torch.testing.assert_close(together, known[:, whole.graph.mlp_senders(layer).start])
    masks = torch.from_numpy(Circuit.full(model.graph).mask()).double()
    slopes = MaskedRun(runs, masks).edge_gradient(gradient)
    torch.testing.assert_close(slopes, scores)
    senders = Linearisation(runs).sender_scores(gradient)
    torch.testing.assert_close(senders.sum(1), scores.sum(0))


@pytest.mark.parametrize("reads", ["mlp_in", "resid_mid"])
def test_features_of_a_transcoder_are_exact_too(checkpoints: Checkpoints, reads: str) -> None:
    whole = checkpoints.model("llama")
    model = whole.split({1: FeatureParts.of(whole, dictionary(whole, 1, reads), range(FEATURES))})
    assert model.graph.parts(1)[-1] == "error"
    assert "rest" not in model.graph.parts(1)
    runs = runs_of(model)
    with torch.no_grad():
        clean = whole.logits(CLEAN)[torch.arange(len(POSITIONS)), POSITIONS]
    assert_close(Executor.of(runs).run([Circuit.full(model.graph)])[0], clean, "full")


def test_parts_and_spans_go_together(checkpoints: Checkpoints) -> None:
    whole = checkpoints.model("gpt2")
    model = split(whole)[0].by_position(("first", "last"))
    spans = (torch.arange(CLEAN.shape[1]) > 3).long().expand_as(CLEAN)
    runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS, spans), Ablation.RESAMPLE)
    graph = model.graph
    with torch.no_grad():
        clean = whole.logits(CLEAN)[torch.arange(len(POSITIONS)), POSITIONS]
    assert_close(Executor.of(runs).run([Circuit.full(graph)])[0], clean, "full")
    circuits = drawn(graph, 3, 5)
    wanted = Executor.of(runs).run(circuits)
    masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double()
    assert_close(Executor.of(runs).run_masks(masks), wanted, "masks")
    for circuit, logits in zip(circuits, wanted, strict=True):
        mask = torch.from_numpy(circuit.mask())
        assert_close(MaskedRun(runs, mask.double()).logits, logits, "masked run")
        now = IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers))
        assert_close(now.logits, logits, "current circuit")


def test_mibs_form_has_no_parts(checkpoints: Checkpoints) -> None:
    model, _ = split(checkpoints.model("gpt2"))
    with pytest.raises(DifferentGraphs, match="no parts of nodes"):
        to_mib(Circuit.full(model.graph))


def test_what_cannot_be_split_is_refused(checkpoints: Checkpoints) -> None:
    with pytest.raises(BadDictionary, match="mixture of experts"):
        NeuronParts.of(checkpoints.model("mixtral"), 0)
    model = checkpoints.model("gpt_neox")
    with pytest.raises(BadDictionary, match="cannot be senders of a circuit"):
        FeatureParts.of(model, dictionary(model, 1, "resid_mid"), CHOSEN)


def assert_close(got: Tensor, wanted: Tensor, what: str) -> None:
    jaxtyping.config.update("jaxtyping_disable", True)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9, msg=lambda text: f"{what}: {text}")
