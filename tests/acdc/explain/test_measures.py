"""What roles rest on: relations as TransformerLens has them, ablations as circuits, eigenvalues of the whole matrix."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformer_lens import head_detector

from acdc.batch import Batch
from acdc.explain.copying import copying_scores
from acdc.explain.node_ablation import NodeAblation, costs_without, lost_without
from acdc.explain.relation_names import AFTER, FIXED, PREVIOUS, RELATIONS, SAME
from acdc.explain.relations import relations
from acdc.explain.where_it_matters import costs_by_position, position_weights
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import SLOTS, Node
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, LogitDifference
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.test_hand_weighted import hand_weighted


def test_relations_are_the_detection_patterns_of_transformer_lens() -> None:
    tokens = torch.tensor([[5, 3, 5, 7, 3, 5, 3, 9]])
    known = relations(tokens)[:, 0].float()
    wanted = {
        PREVIOUS: head_detector.get_previous_token_head_detection_pattern(tokens),
        SAME: head_detector.get_duplicate_token_head_detection_pattern(tokens),
        AFTER[0]: head_detector.get_induction_head_detection_pattern(tokens),
    }
    for name, pattern in wanted.items():
        torch.testing.assert_close(known[RELATIONS.index(name)], pattern.float().cpu(), rtol=0, atol=0)
    assert known[RELATIONS.index(FIXED[0])].nonzero().tolist() == [[query, query - 2] for query in range(2, 8)]


ARCHITECTURES = ["llama", "gemma2", "gpt_neox", "olmo2"]
LENGTHS = (5, 7, 8)


def one_after_the_other(
    runs: Runs, nodes: Collection[Node], where: Bool[Tensor, " pos"] | None = None
) -> Float[Tensor, "row vocab"]:
    """The logits without some nodes by a run of everything, layer by layer; of heads at the positions of `where`."""
    residual = runs.clean_residual(runs.graph.layers[0].reads)
    for number, layer in enumerate(runs.layers):
        wrote = layer.heads(*(layer.project_all(slot, residual) for slot in SLOTS))
        for node in nodes:
            if node.kind == "head" and node.layer == number:
                ablated = runs.ablated.outputs[runs.graph.sender_index[node]]
                wrote[node.head] = ablated if where is None else torch.where(where[:, None], ablated, wrote[node.head])
        after = residual + wrote.sum(0) + layer.layer.attention.output.bias
        if layer.indices.mlp is None:
            residual = after
        elif Node("mlp", number) in nodes:
            residual = after + runs.ablated.outputs[layer.indices.mlp.senders.start]
        else:
            residual = after + layer.mlp(residual if runs.graph.parallel else after)
    return runs.model.unembedding(runs.scored(residual).squeeze(-2))


def lost(problem: Problem, batch: Batch, logits: Sequence[Float[Tensor, "row vocab"]]) -> Float[Tensor, "run row"]:
    """By how much these logits lower the metric."""
    values = problem.metric.of_rows(torch.stack([batch.whole.reference(), *logits]), batch.targets)
    return (values[0] - values[1:]).double()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
def test_runs_that_share_what_is_alike_lose_what_runs_one_after_the_other_do(
    checkpoints: Checkpoints, architecture: Architecture, ablation: Ablation
) -> None:
    model = checkpoints.model(architecture)
    problem = Problem(model, behaviour(model, LENGTHS), KLDivergence(), ablation)
    one, other, mlp = Node("head", 0, 1), Node("head", 1, 0), Node("mlp", 0)
    groups = [(one,), (other,), (one, other), (mlp, one), (mlp, Node("mlp", 1)), (Node("head", 1, 1), other)]
    for batch in problem.batches:
        got = lost_without(problem, batch, [NodeAblation(group) for group in groups])
        wanted = lost(problem, batch, [one_after_the_other(batch.whole, group) for group in groups])
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)
        positions = range(batch.whole.delta.shape[-2])
        at = torch.arange(len(positions))
        got = costs_by_position(problem, batch, [one, other])
        for number, head in enumerate((one, other)):
            wanted = lost(problem, batch, [one_after_the_other(batch.whole, [head], at == p) for p in positions])
            full, none = problem.bounds
            torch.testing.assert_close(got[number].T, wanted / (full - none), rtol=0, atol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_without_nodes_is_the_circuit_of_all_edges_but_theirs(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model = checkpoints.model(architecture)
    problem = Problem(model, behaviour(model, LENGTHS), LogitDifference())
    nodes = [Node("head", 0, 1), Node("mlp", 0), Node("head", 1, 0)]
    full = Circuit.full(model.graph)
    rest = full.without([edge for edge in model.graph.every_edge if edge.sender in nodes])
    values = problem.measure([full, rest])[0]
    best, worst = problem.bounds
    costs = costs_without(problem, [nodes])[0]
    torch.testing.assert_close(costs, (values[0] - values[1]) / (best - worst), rtol=0, atol=1e-9)


def test_ablations_in_small_parts_lose_the_same(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    model = checkpoints.model("llama")
    problem = Problem(model, behaviour(model, LENGTHS), LogitDifference())
    groups = [[Node("head", layer, head)] for layer in range(2) for head in range(2)]
    together = costs_without(problem, groups)
    monkeypatch.setattr("acdc.explain.node_ablation._NUMBERS", 1)
    monkeypatch.setattr("acdc.graphs.execution.branching._TOKENS", 1)
    torch.testing.assert_close(costs_without(problem, groups), together, rtol=0, atol=1e-12)


def test_a_head_of_the_last_layer_is_needed_at_the_end_alone(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("llama")
    problem = Problem(model, behaviour(model, (7, 7, 7)), LogitDifference())
    last = Node("head", model.graph.n_layers - 1, 1)
    [batch] = problem.batches
    [at_end] = costs_by_position(problem, batch, [last])
    torch.testing.assert_close(at_end.sum(-1), costs_without(problem, [[last]])[0])
    assert (at_end.abs() > 1e-9).sum() == len(batch.prompts)


def test_positions_count_by_what_is_written_where_no_single_one_is_needed() -> None:
    costs = torch.tensor([[[0.3, -0.1, 0.0], [0.001, 0.0, 0.0]]])
    weights = position_weights(costs, torch.tensor([[[9.0, 9.0, 9.0], [1.0, 3.0, 0.0]]]))
    torch.testing.assert_close(weights, torch.tensor([[[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]]))


def test_copying_is_read_off_the_eigenvalues_of_the_whole_matrix(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("gpt2")
    scores = copying_scores(model)
    attention, end = model.layers[1].attention, model.unembedding
    embedding = model.bridge.embed.original_component.weight.double()
    assert attention.norm.weight is not None
    assert end.norm.weight is not None
    centre = torch.eye(model.graph.d_model, dtype=torch.float64) - 1 / model.graph.d_model
    read = embedding @ centre @ (attention.norm.weight.double()[:, None] * attention.value.weight[1].double())
    wrote = (
        read
        @ attention.output.weight[1].double()
        @ centre
        @ (end.norm.weight.double()[:, None] * end.weight.double().T)
    )
    values = torch.linalg.eigvals(wrote)
    wanted = values.real.sum() / values.abs().sum()
    wanted = wanted.detach()
    assert float(scores[model.graph.n_heads + 1]) == pytest.approx(float(wanted), abs=1e-6)


def test_heads_that_copy_score_one_and_one_that_writes_nothing_zero() -> None:
    # `answer` - `token`: what a0.h0 writes is not read by the logits
    assert copying_scores(hand_weighted()).tolist() == pytest.approx([0, 0, 1, 1])
