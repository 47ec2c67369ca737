"""The gradient where tokens enter is that of the numbers themselves, through model and circuit, clean and corrupt."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import TokenPairs, between, mean_outputs
from acdc.graphs.execution.spans import Positions
from acdc.graphs.execution.token_gradients import token_gradients
from tests.checkpoints import Architecture, Checkpoints

STEP = 1e-5


def contrast(model: Float[Tensor, "batch vocab"], circuit: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
    """Some smooth number that depends on both."""
    return (model.log_softmax(-1)[:, :3] - circuit.log_softmax(-1)[:, 1:4]).square().sum(-1)


CASES: list[tuple[Architecture, Ablation]] = [
    *((name, ablation) for name in ("gpt2", "gemma2") for ablation in UNLEARNED),  # type: ignore[misc]
    *((name, Ablation.RESAMPLE) for name in ("olmo2", "mixtral")),  # type: ignore[misc]
]


@pytest.mark.parametrize(("name", "ablation"), CASES)
def test_gradients_are_those_of_finite_differences(
    checkpoints: Checkpoints, name: Architecture, ablation: Ablation
) -> None:
    model = checkpoints.model(name)
    edges = sorted(edge.name for edge in model.graph.edges())
    circuit = Circuit.from_names(model.graph, edges[::2])
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.unembedding.weight.shape[0], (2, 3, 6), generator=generator)
    prompts = TokenPairs(tokens[0], tokens[1], torch.tensor([3, 5, 2]))
    means = mean_outputs(model, [prompts.corrupt.flip(0, 1)], ablation)
    found = token_gradients(model, prompts, circuit, contrast, ablation, means)
    embedded = [model.embed(part) for part in (prompts.clean, prompts.corrupt)]
    for side, gradient in enumerate((found.clean, found.corrupt)):
        direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            moved = list(embedded)
            moved[side] = moved[side] + sign * STEP * direction
            with torch.no_grad():
                runs = between(model, moved[0], moved[1], Positions(prompts.scored_positions), ablation, means)
                [logits] = Executor.of(runs).run([circuit])
                ends.append(contrast(runs.reference(), logits))
        measured = (ends[0] - ends[1]) / (2 * STEP)
        torch.testing.assert_close((gradient * direction).flatten(1).sum(1), measured, rtol=1e-5, atol=1e-8)
        if side == 0 or ablation is Ablation.RESAMPLE:
            assert measured.abs().min() > 1e-4, "nothing was tested"
        else:
            assert not gradient.any(), "corrupt prompts are not run"


def test_what_comes_after_the_scored_position_has_no_gradient(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("gpt2")
    prompts = TokenPairs(torch.tensor([[1, 2, 3, 4]]), torch.tensor([[5, 6, 7, 8]]), torch.tensor([1]))
    found = token_gradients(model, prompts, Circuit.full(model.graph), contrast)
    assert found.clean.shape == found.corrupt.shape == (1, 4, model.graph.d_model)
    assert found.clean[:, :2].any()
    assert not found.clean[:, 2:].any()
