"""A run without some senders is the circuit of all edges from the others, whatever the architecture."""

from __future__ import annotations

import pytest
import torch

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import NoConstants
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import TokenPairs, prepare
from acdc.graphs.execution.sender_ablation import without_senders
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.execution.test_all_splits import split
from tests.graphs.execution.test_streams import ONE, OTHER
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS

PROMPTS = TokenPairs(CLEAN, CORRUPT, POSITIONS)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama", "gemma2", "olmo2"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_it_is_the_circuit_of_all_edges_from_the_senders_kept(
    checkpoints: Checkpoints, architecture: Architecture, share: float
) -> None:
    model = checkpoints.model(architecture)
    graph, generator = model.graph, torch.Generator().manual_seed(3)
    constants = torch.randn(len(graph.senders), 1, 1, graph.d_model, generator=generator, dtype=model.dtype)
    present = torch.rand(len(graph.senders), generator=generator) < share
    runs = prepare(model, PROMPTS, Ablation.OPTIMAL, constants)
    names = {sender for sender, here in zip(graph.senders, present.tolist(), strict=True) if here}
    circuit = Circuit(graph, frozenset(edge for edge in graph.edges() if edge.sender in names))
    wanted = Executor.of(runs).run([circuit])[0]
    zero = prepare(model, PROMPTS, Ablation.ZERO)
    for of in (runs, zero):  # whatever missing edges carry in the runs that give the prompts
        torch.testing.assert_close(without_senders(of, present, constants), wanted, rtol=0, atol=1e-9)
    if share == 1:
        torch.testing.assert_close(wanted, runs.reference(), rtol=0, atol=1e-9)
    if share == 0:
        torch.testing.assert_close(wanted, runs.none(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "gpt_neox"])
def test_also_where_attention_streams_and_mlps_are_split(checkpoints: Checkpoints, architecture: Architecture) -> None:
    for places in (ONE, OTHER):
        model, _, _ = split(checkpoints.model(architecture), places)
        graph, generator = model.graph, torch.Generator().manual_seed(4)
        constants = torch.randn(len(graph.senders), 1, 1, graph.d_model, generator=generator, dtype=model.dtype)
        present = torch.rand(len(graph.senders), generator=generator) < 0.5
        for missing in ((), (0,), graph.layers[0].nodes[-1].senders):  # without the last, nothing behind it is joined
            present[list(missing)] = False
            runs = prepare(model, PROMPTS, Ablation.OPTIMAL, constants)
            kept = frozenset(edge for edge in graph.edges() if present[graph.sender_index[edge.sender]])
            wanted = Executor.of(runs).run([Circuit(graph, kept)])[0]
            torch.testing.assert_close(without_senders(runs, present, constants), wanted, rtol=0, atol=1e-9)
            present[0] = True


def test_without_constants_nothing_is_run(checkpoints: Checkpoints) -> None:
    with pytest.raises(NoConstants, match="under optimal ablation: got no constants"):
        Executor(checkpoints.model("gpt2"), CLEAN, CORRUPT, POSITIONS, ablation=Ablation.OPTIMAL)
