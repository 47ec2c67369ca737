"""What an edge moves alone is what the executor says of the model without it."""

from __future__ import annotations

import pytest
import torch

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import TokenPairs, mean_outputs
from acdc.graphs.model import from_bridge
from acdc.graphs.nodes import Edge
from acdc.ground_truth.derivation import single_edge_effects, true_edges
from tests.native_bridges import native_bridge, native_model

BATCHES = (
    TokenPairs(torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[7, 8, 3], [4, 9, 1]]), torch.tensor([2, 1])),
    TokenPairs(torch.tensor([[1, 2, 3, 4]]), torch.tensor([[5, 6, 7, 8]]), torch.tensor([3])),
)


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_effects_are_those_of_circuits_that_lack_one_edge(ablation: Ablation) -> None:
    bridge = native_bridge("relu", n_heads=2)
    with torch.no_grad():
        bridge.blocks[0].attn.o.weight[:, :4] = 0  # the first head writes nothing
    model = from_bridge(bridge)
    effects = single_edge_effects(model, BATCHES, ablation)
    means = mean_outputs(model, [batch.corrupt for batch in BATCHES], ablation)
    full, edges = Circuit.full(model.graph), tuple(model.graph.edges())
    assert set(effects) == set(edges)
    wanted = []
    for batch in BATCHES:
        executor = Executor(model, batch.clean, batch.corrupt, batch.scored_positions, ablation, means)
        logits = executor.run([full, *(full.without([edge]) for edge in edges)])
        wanted.append((logits[1:] - logits[0]).abs().amax(-1))
    torch.testing.assert_close(
        torch.stack([effects[edge] for edge in edges]), torch.cat(wanted, dim=1), rtol=0, atol=1e-10
    )
    assert not effects[Edge.parse("a0.h0->logits")].any()


def test_an_edge_is_true_if_one_prompt_shows_it() -> None:
    model = native_model("relu", n_heads=2)
    effects = single_edge_effects(model, BATCHES, Ablation.RESAMPLE)
    edge = Edge.parse("a1.h1->logits")
    smallest, largest = sorted(effects[edge].tolist())[0], effects[edge].max().item()
    assert smallest < largest
    assert edge in true_edges(model, BATCHES, Ablation.RESAMPLE, tolerance=(smallest + largest) / 2)
    assert edge not in true_edges(model, BATCHES, Ablation.RESAMPLE, tolerance=largest)
