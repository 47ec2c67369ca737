"""Split attention and residual streams: every way to run a circuit does with their features what the oracle does."""

from __future__ import annotations

import random

import pytest
import torch

from acdc.graphs import computation
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadDictionary
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.execution.dropped_layers import sizes_of_effects
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.execution.runs import TokenPairs, prepare
from acdc.graphs.features.activation import Rectified
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder
from acdc.graphs.features.hooks import Hook, Site
from acdc.graphs.features.splitting import FeatureParts
from acdc.graphs.features.streams import AttentionFeatures, StreamFeatures
from acdc.graphs.model import Model
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.exact_float64 import exact_float64
from tests.graphs.execution.test_splits import CHOSEN, EIGHT, FEATURES, assert_close, drawn, runs_of
from tests.graphs.features.split_oracle import split_logits
from tests.graphs.features.stream_oracle import Parts, features
from tests.graphs.oracle import load_bridge
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS

ONE = (("attn_out", 0), ("resid_post", 0), ("resid_mid", 1))
OTHER = (("resid_mid", 0), ("attn_out", 1), ("resid_pre", 1), ("resid_post", 1))
Split = dict[str, tuple[tuple[str, ...], Parts]]


def dictionary(model: Model, site: Site, layer: int) -> Dictionary:
    """A bad dictionary, drawn at random: nothing here depends on its being good."""
    generator = torch.Generator().manual_seed(layer + len(site))
    graph, weights = model.graph, model.layers[layer].attention.output.weight
    width = weights.shape[0] * weights.shape[1] if site == "attn_z" else graph.d_model
    encoder, decoder = torch.randn(2, width, FEATURES, generator=generator, dtype=torch.float64)
    bias = torch.randn(FEATURES, generator=generator, dtype=torch.float64) / 2
    made = Encoder(encoder, bias, Rectified())
    place = Hook(site, layer)
    return Dictionary("drawn", made, Decoder(decoder.T.contiguous() / 3, encoder.new_ones(width)), place, place)


def split(model: Model, places: tuple[tuple[Site, int], ...]) -> tuple[Model, Split]:
    """The model with these places split into features, those that it has; and the same for the oracle."""
    attended, streams, known = {}, {}, {}
    for site, layer in places:
        if site == "resid_mid" and model.graph.parallel:
            continue
        made = dictionary(model, site, layer)
        parts = FeatureParts.of(model, made, CHOSEN)
        number, kind = made.writes.split  # type: ignore[misc]
        if kind == "attention":
            attended[number] = AttentionFeatures.of(model, parts)
        else:
            streams[number, kind] = StreamFeatures.of(model, parts)
        names = tuple(f"{made.writes.node}.{name}" for name in parts.names)
        known[made.writes.node] = (
            names,
            features(names, made.encoder.weight, made.encoder.bias, made.decoder.weight, CHOSEN),
        )
    return model.split({}, attended, streams), known


@pytest.mark.parametrize(("architecture", "ablation"), list(zip(EIGHT, [*UNLEARNED] * 2, strict=True)))
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_random_circuits_agree_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture, ablation: Ablation, places: tuple[tuple[Site, int], ...]
) -> None:
    model, known = split(checkpoints.model(architecture), places)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    executor, circuits = Executor.of(runs_of(model, ablation)), drawn(model.graph, 2, 1)
    logits = executor.run(circuits)
    by_masks = executor.run_masks(torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double())
    for index, circuit in enumerate(circuits):
        names = {edge.name for edge in circuit.edges}
        wanted = split_logits(bridge, (CLEAN, CORRUPT, POSITIONS), {}, names, ablation.value, streams=known)
        assert_close(logits[index], wanted, f"circuit {index} of {len(circuit)} edges")
        assert_close(by_masks[index], wanted, f"masks {index}")


@pytest.mark.parametrize("architecture", EIGHT)
def test_the_full_circuit_is_the_clean_run_and_the_empty_one_the_ablated_run(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    whole = checkpoints.model(architecture)
    with torch.no_grad():
        clean, corrupt = (whole.logits(tokens)[ROWS, POSITIONS] for tokens in (CLEAN, CORRUPT))
    for places in (ONE, OTHER):
        model, _ = split(whole, places)
        runs, graph = runs_of(model), model.graph
        full, empty = Executor.of(runs).run([Circuit.full(graph), Circuit.empty(graph)])
        assert_close(full, clean, "full")
        assert_close(empty, corrupt, "empty")
        by_masks = Executor.of(runs).run_masks(torch.from_numpy(Circuit.full(graph).mask())[None].double())[0]
        assert_close(by_masks, clean, "masks of 1")


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gpt_neox"])
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_every_executor_agrees(
    checkpoints: Checkpoints, architecture: Architecture, places: tuple[tuple[Site, int], ...]
) -> None:
    model, _ = split(checkpoints.model(architecture), places)
    runs, graph = runs_of(model), model.graph
    circuits = drawn(graph, 2, 1)
    wanted = Executor.of(runs).run(circuits)
    for circuit, logits in zip(circuits, wanted, strict=True):
        mask = torch.from_numpy(circuit.mask())
        assert_close(MaskedRun(runs, mask.double()).logits, logits, "masked run")
        assert_close(
            IncrementalExecutor(runs, kept=mask, decided=len(graph.receivers)).logits, logits, "current circuit"
        )
        assert_close(Executor.of(runs).run([circuit.pruned()])[0], logits, "without dead edges")
        for prompt in range(len(CLEAN)):
            clean, corrupt = CLEAN[prompt : prompt + 1], CORRUPT[prompt : prompt + 1]
            crossed = CrossedRun(model, circuit, clean, corrupt, int(POSITIONS[prompt]))
            [block] = list(crossed.blocks())
            assert_close(block.logits[0, 0], logits[prompt], "crossed run")
            assert_close(crossed.reference()[0], runs.reference()[prompt], "reference")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox"])
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_removals_are_those_of_the_circuits_without_them(
    checkpoints: Checkpoints, architecture: Architecture, places: tuple[tuple[Site, int], ...]
) -> None:
    model, _ = split(checkpoints.model(architecture), places)
    runs, graph = runs_of(model), model.graph
    incremental, kept, draw = IncrementalExecutor(runs), set(graph.every_edge), random.Random(2)
    for receiver in reversed(graph.receivers):
        edges, first = graph.incoming(receiver), graph.since(graph.reads(receiver))
        if not incremental.begin(receiver):
            kept -= set(edges)
            continue
        numbers = draw.sample(range(len(edges)), min(len(edges), 4))
        senders = [first + number for number in numbers]
        tried = incremental.try_removals(receiver, senders)
        circuits = [Circuit(graph, frozenset(kept - {edges[n] for n in numbers[: c + 1]})) for c in range(len(numbers))]
        assert_close(tried, Executor.of(runs).run(circuits), receiver.name)
        incremental.accept(len(numbers) * 3 // 4)
        kept -= {edges[number] for number in numbers[: len(numbers) * 3 // 4]}
        some = numbers[-2:]
        keeping = incremental.unembed(incremental.try_keeping(receiver, [first + number for number in some]))[0]
        others = frozenset(kept - {edge for n, edge in enumerate(edges) if n not in some})
        assert_close(keeping, Executor.of(runs).run([Circuit(graph, others)])[0], f"keeping at {receiver.name}")


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("places", [ONE, OTHER])
def test_scores_are_slopes_and_none_is_of_what_is_no_edge(
    checkpoints: Checkpoints, architecture: Architecture, places: tuple[tuple[Site, int], ...]
) -> None:
    model, _ = split(checkpoints.model(architecture), places)
    runs, graph = runs_of(model), model.graph
    gradient = torch.randn(3, runs.model.unembedding.weight.shape[0], dtype=torch.float64)
    masks = torch.from_numpy(Circuit.full(graph).mask()).double()
    scores = Linearisation(runs).edge_scores(gradient)
    torch.testing.assert_close(scores, MaskedRun(runs, masks).edge_gradient(gradient))
    leaf = masks[None].clone().requires_grad_()
    logits = Executor.of(runs).run_masks(leaf)[0]
    (slopes,) = torch.autograd.grad((logits * gradient).sum(), leaf)
    torch.testing.assert_close(scores, slopes[0])
    torch.testing.assert_close(Linearisation(runs).row_scores(gradient).sum(0), scores)
    senders = Linearisation(runs).sender_scores(gradient)
    torch.testing.assert_close(senders.sum(1), scores.sum(0))
    assert not sizes_of_effects(Linearisation(runs), gradient, ROWS)[masks == 0].any()


def test_the_scores_of_heads_parts_are_those_of_the_heads(checkpoints: Checkpoints) -> None:
    whole = checkpoints.model("gpt2")
    model, _ = split(whole, (("attn_out", 0),))
    gradient = torch.randn(3, whole.unembedding.weight.shape[0], dtype=torch.float64)
    parts, heads = (
        Linearisation(runs_of(each)).edge_scores(gradient)[:, each.graph.layers[0].heads] for each in (model, whole)
    )
    torch.testing.assert_close(parts.sum(1), heads.sum(1))


@pytest.mark.parametrize("read", ["group", "start"])
def test_a_run_from_anywhere_is_the_run_from_there(checkpoints: Checkpoints, read: str) -> None:
    model, _ = split(checkpoints.model("gpt2"), OTHER)
    runs = runs_of(model)
    for layer in model.graph.layers:
        for senders in (layer.heads, *(node.senders for node in layer.nodes)):
            run = Linearisation(runs, read=senders.stop)
            assert_close(run.logits, runs.reference(), f"from {senders}")
            gradient = torch.ones_like(run.logits)
            found = run.edge_scores(gradient, senders)[:, senders]
            whole = Linearisation(runs).edge_scores(gradient)[:, senders]
            torch.testing.assert_close(found, whole)


def test_streams_and_spans_go_together(checkpoints: Checkpoints) -> None:
    whole = checkpoints.model("gpt2")
    spans = (torch.arange(CLEAN.shape[1]) > 3).long().expand_as(CLEAN)
    with torch.no_grad():
        clean = whole.logits(CLEAN)[ROWS, POSITIONS]
    for places in (ONE, OTHER):
        model = split(whole, places)[0].by_position(("first", "last"))
        runs = prepare(model, TokenPairs(CLEAN, CORRUPT, POSITIONS, spans), Ablation.RESAMPLE)
        graph = model.graph
        assert_close(Executor.of(runs).run([Circuit.full(graph)])[0], clean, "full")
        circuits = drawn(graph, 2, 5)
        wanted = Executor.of(runs).run(circuits)
        masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits]).double()
        assert_close(Executor.of(runs).run_masks(masks), wanted, "masks")
        for circuit, mask, logits in zip(circuits, masks, wanted, strict=True):
            assert_close(MaskedRun(runs, mask).logits, logits, "masked run")
            now = IncrementalExecutor(runs, kept=mask.bool(), decided=len(graph.receivers))
            assert_close(now.logits, logits, "current circuit")
            crossed = CrossedRun(model, circuit, CLEAN[:1], CORRUPT[:1], int(POSITIONS[0]), spans[:1])
            [block] = list(crossed.blocks())
            assert_close(block.logits[0, 0], logits[0], "crossed run")


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox"])
def test_features_of_gathered_values_are_features_of_what_is_written(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    whole = checkpoints.model(architecture)
    model, _ = split(whole, (("attn_z", 0),))
    runs, graph = runs_of(model), model.graph
    with torch.no_grad():
        clean = whole.logits(CLEAN)[ROWS, POSITIONS]
        gathered: list[torch.Tensor] = []
        bridge = load_bridge(checkpoints.ungrouped(architecture))
        with exact_float64(bridge):
            bridge.run_with_hooks(CLEAN, fwd_hooks=[("blocks.0.attn.o.hook_in", lambda x, hook: gathered.append(x))])
    assert_close(Executor.of(runs).run_masks(torch.from_numpy(Circuit.full(graph).mask())[None].double())[0], clean, "")
    made = dictionary(model, "attn_z", 0)
    active = made.encode(gathered[0].flatten(2)[:, : runs.delta.shape[2]])
    written = (made.decoder.weight[CHOSEN[0]] @ bridge.blocks[0].attn.W_O.flatten(0, 1)) * active[..., [CHOSEN[0]]]
    wrote = runs.delta[graph.layers[0].heads.start] + runs.ablated.outputs[graph.layers[0].heads.start]
    assert_close(wrote, written, "the first feature")


def test_what_cannot_be_split_is_refused(checkpoints: Checkpoints) -> None:
    with pytest.raises(BadDictionary, match="is normed before it is added"):
        split(checkpoints.model("gemma2"), (("attn_z", 0),))
    with pytest.raises(BadDictionary, match="the embeddings, which are one sender"):
        StreamFeatures.of(
            model := checkpoints.model("gpt2"), FeatureParts.of(model, dictionary(model, "resid_pre", 0), CHOSEN)
        )
    parallel = checkpoints.model("gpt_neox")
    with pytest.raises(BadDictionary, match="none stands between them"):
        StreamFeatures.of(parallel, FeatureParts.of(parallel, dictionary(parallel, "resid_mid", 0), CHOSEN))
    with pytest.raises(ValueError, match=r"r0mid are split, wanted what the model has"):
        ComputationalGraph(2, 2, 8, parallel=True, splits=(computation.Split(0, ("f1",), "resid_mid"),))
