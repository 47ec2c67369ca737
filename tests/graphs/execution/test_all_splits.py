"""Attention, the residual stream and MLPs split in one graph, MLPs' parts reading for themselves: all agree on it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.execution.dropped_layers import sizes_of_effects
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.features.hooks import Site
from acdc.graphs.model import Model
from acdc.graphs.nodes import Node
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.execution.test_parts_reading import masks_of, of_runs, slopes
from tests.graphs.execution.test_splits import assert_close, drawn, runs_of
from tests.graphs.execution.test_splits import split as split_mlps
from tests.graphs.execution.test_streams import ONE, OTHER, Split
from tests.graphs.execution.test_streams import split as split_streams
from tests.graphs.features.split_oracle import NamedParts, split_logits
from tests.graphs.oracle import load_bridge
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS

Places = tuple[tuple[Site, int], ...]
THREE: tuple[Architecture, ...] = ("gpt2", "gemma2", "gpt_neox")


def split(whole: Model, places: Places) -> tuple[Model, dict[int, NamedParts], Split]:
    """The model with m0 in neurons and m1 in features that read for themselves, and these places in features."""
    mlps, known = split_mlps(whole)
    streams, others = split_streams(whole, places)
    parts = {number: layer.parts for number, layer in enumerate(mlps.layers) if layer.parts is not None}
    attended = {number: layer.attended for number, layer in enumerate(streams.layers) if layer.attended is not None}
    between = {
        (number, kind): each for number, layer in enumerate(streams.layers) for kind, each in layer.streams.items()
    }
    return whole.split(parts, attended, between).parts_reading(True), known, others


@pytest.mark.parametrize(("architecture", "ablation"), list(zip(THREE, ("resample", "zero", "mean"), strict=True)))
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_every_way_to_run_circuits_agrees_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture, ablation: str, places: Places
) -> None:
    model, known, others = split(checkpoints.model(architecture), places)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    runs, graph = runs_of(model, Ablation(ablation)), model.graph
    assert {split.kind for split in graph.splits} >= {"attention", "mlp", "resid_post"}
    circuits = drawn(graph, 2, 1)
    logits, by_masks = Executor.of(runs).run(circuits), Executor.of(runs).run_masks(masks_of(circuits))
    for index, circuit in enumerate(circuits):
        names, mask = {edge.name for edge in circuit.edges}, torch.from_numpy(circuit.mask())
        wanted = split_logits(
            bridge, (CLEAN, CORRUPT, POSITIONS), known, names, ablation, streams=others, parts_read=True
        )
        assert_close(logits[index], wanted, f"circuit {index} of {len(circuit)} edges")
        assert_close(by_masks[index], wanted, f"masks {index}")
        assert_close(MaskedRun(runs, mask.double()).logits, wanted, "masked run")
        now = IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers))
        assert_close(now.logits, wanted, "current circuit")
        assert_close(Executor.of(runs).run([circuit.pruned()])[0], wanted, "without dead edges")
        for prompt in range(len(CLEAN)) if ablation == "resample" else ():
            clean, corrupt = CLEAN[prompt : prompt + 1], CORRUPT[prompt : prompt + 1]
            [block] = list(CrossedRun(model, circuit, clean, corrupt, int(POSITIONS[prompt])).blocks())
            assert_close(block.logits[0, 0], wanted[prompt], "crossed run")


@pytest.mark.parametrize("architecture", THREE)
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_the_full_circuit_is_the_clean_run_and_the_empty_one_the_ablated_run(
    checkpoints: Checkpoints, architecture: Architecture, places: Places
) -> None:
    whole = checkpoints.model(architecture)
    model, _, _ = split(whole, places)
    with torch.no_grad():
        clean, corrupt = (whole.logits(tokens)[ROWS, POSITIONS] for tokens in (CLEAN, CORRUPT))
    ends = [Circuit.full(model.graph), Circuit.empty(model.graph)]
    full, empty = Executor.of(runs_of(model)).run_masks(masks_of(ends))
    assert_close(full, clean, "full")
    assert_close(empty, corrupt, "empty")


@pytest.mark.parametrize(("architecture", "places"), [("gpt2", OTHER), ("gpt_neox", ONE)])
def test_removals_are_those_of_the_circuits_without_the_edges(
    checkpoints: Checkpoints, architecture: Architecture, places: Places
) -> None:
    model, _, _ = split(checkpoints.model(architecture), places)
    runs, graph = runs_of(model), model.graph
    incremental, kept, draw = IncrementalExecutor(runs), set(graph.every_edge), random.Random(2)
    for receiver in reversed(graph.receivers):
        edges, first = graph.incoming(receiver), graph.since(graph.reads(receiver))
        if not incremental.begin(receiver):
            kept -= set(edges)
            continue
        if draw.random() < (0.9 if receiver.node.part[:1] == "n" else 0.5 if receiver.slot else 0):  # there are many
            continue
        numbers = draw.sample(range(len(edges)), min(len(edges), 3))
        tried = incremental.try_removals(receiver, [first + number for number in numbers])
        circuits = [Circuit(graph, frozenset(kept - {edges[n] for n in numbers[: c + 1]})) for c in range(len(numbers))]
        assert_close(tried, Executor.of(runs).run(circuits), receiver.name)
        gone = numbers[: draw.choice((1, 2, 3))]
        incremental.accept(len(gone))
        kept -= {edges[number] for number in gone}
        some = numbers[-2:]
        keeping = incremental.unembed(incremental.try_keeping(receiver, [first + number for number in some]))[0]
        others = frozenset(kept - {edge for n, edge in enumerate(edges) if n not in some})
        assert_close(keeping, Executor.of(runs).run([Circuit(graph, others)])[0], f"keeping at {receiver.name}")


@pytest.mark.parametrize("architecture", THREE)
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_scores_are_slopes(checkpoints: Checkpoints, architecture: Architecture, places: Places) -> None:
    model, _, _ = split(checkpoints.model(architecture), places)
    runs, graph = runs_of(model), model.graph
    gradient, full = of_runs(runs), torch.from_numpy(Circuit.full(graph).mask())
    scores = Linearisation(runs).edge_scores(gradient)
    torch.testing.assert_close(scores, slopes(runs, full.double(), gradient) * full, rtol=0, atol=1e-9)
    torch.testing.assert_close(MaskedRun(runs, full.double()).edge_gradient(gradient), scores, rtol=0, atol=1e-9)
    torch.testing.assert_close(Linearisation(runs).row_scores(gradient).sum(0), scores, rtol=0, atol=1e-9)
    senders = Linearisation(runs).sender_scores(gradient)
    torch.testing.assert_close(senders.sum(1), scores.sum(0), rtol=0, atol=1e-9)
    assert not sizes_of_effects(Linearisation(runs), gradient, ROWS)[~full].any()
    _at_circuits(runs, gradient)


def _at_circuits(runs: Runs, gradient: torch.Tensor) -> None:
    """The gradient at edges that carry parts of what they would is that by autograd through one whole run."""
    [circuit] = drawn(runs.graph, 1, 4)
    mask = torch.from_numpy(circuit.pruned().mask())
    parts = mask * torch.rand(mask.shape, dtype=torch.float64)
    found = MaskedRun(runs, parts).edge_gradient(gradient)
    torch.testing.assert_close(found[mask], slopes(runs, parts, gradient)[mask], rtol=0, atol=1e-9)


@pytest.mark.parametrize("places", [ONE, OTHER])
def test_spans_go_with_all_of_it(checkpoints: Checkpoints, places: Places) -> None:
    model = split(checkpoints.model("gpt2"), places)[0].by_position(("first", "last"))
    spans = (torch.arange(CLEAN.shape[1]) > 3).long().expand_as(CLEAN)
    runs, graph = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS, spans), Ablation.RESAMPLE), model.graph
    circuits = drawn(graph, 2, 5)
    wanted = Executor.of(runs).run(circuits)
    assert_close(Executor.of(runs).run_masks(masks_of(circuits)), wanted, "masks")
    for circuit, logits in zip(circuits, wanted, strict=True):
        mask = torch.from_numpy(circuit.mask())
        assert_close(MaskedRun(runs, mask.double()).logits, logits, "masked run")
        now = IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers))
        assert_close(now.logits, logits, "current circuit")
        crossed = CrossedRun(model, circuit, CLEAN[:1], CORRUPT[:1], int(POSITIONS[0]), spans[:1])
        [block] = list(crossed.blocks())
        assert_close(block.logits[0, 0], logits[0], "crossed run")


@pytest.mark.parametrize("places", [ONE, OTHER])
def test_the_graph_says_what_reads_and_comes_back_from_files(checkpoints: Checkpoints, places: Places) -> None:
    graph = split(checkpoints.model("gpt2"), places)[0].graph
    assert graph.n_edges == len(list(graph.edges())) == len(graph.edge_indices)
    reading = {receiver.node for receiver in graph.receivers}
    assert {node.kind for node in reading if node.part} == {"mlp"}
    assert Node("mlp", 0) not in graph.nodes
    assert {node for node in graph.nodes if node.kind != "attention"} == (reading | set(graph.senders)) - {
        node for node in graph.senders if node.kind == "attention"
    }
    assert replace(graph, parts_read=False).n_edges < graph.n_edges
    [circuit] = drawn(graph, 1)
    again = Circuit.from_json(circuit.to_json())
    assert again == circuit
    assert again.graph == graph
