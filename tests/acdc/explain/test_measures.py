"""What roles rest on: relations as TransformerLens has them, ablations as circuits, eigenvalues of the whole matrix."""

from __future__ import annotations

import pytest
import torch
from transformer_lens import head_detector

from acdc.explain.copying import copying_scores
from acdc.explain.node_ablation import costs_without, logits_without
from acdc.explain.relation_names import AFTER, FIXED, PREVIOUS, RELATIONS, SAME
from acdc.explain.relations import relations
from acdc.explain.where_it_matters import costs_by_position, position_weights
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.nodes import Node
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Checkpoints
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


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt_neox"])
def test_a_model_without_nodes_is_the_circuit_of_all_edges_but_theirs(
    checkpoints: Checkpoints, architecture: str
) -> None:
    model = checkpoints.model(architecture)
    problem = Problem(model, behaviour(model, (7, 7, 7)), LogitDifference())
    nodes = [Node("head", 0, 1), Node("mlp", 0), Node("head", 1, 0)]
    rest = Circuit.full(model.graph).without([edge for edge in model.graph.every_edge if edge.sender in nodes])
    for batch in problem.batches:
        wanted = Executor.of(batch.runs).run([rest])[0]
        torch.testing.assert_close(logits_without(batch.runs, nodes), wanted, rtol=0, atol=1e-9)


def test_a_head_is_needed_where_ablating_it_there_alone_costs(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("llama")
    problem = Problem(model, behaviour(model, (7, 7, 7)), LogitDifference())
    first, last = Node("head", 0, 1), Node("head", model.graph.n_layers - 1, 1)
    [batch] = problem.batches
    before, at_end = costs_by_position(problem, batch, [first, last])
    full, none = problem.bounds
    for position in range(before.shape[1]):
        where = torch.arange(before.shape[1]) == position
        values = LogitDifference().of_rows(
            torch.stack([logits_without(batch.runs, ()), logits_without(batch.runs, [first], where)]), batch.targets
        )
        torch.testing.assert_close(before[:, position], (values[0] - values[1]).double() / (full - none))
    # of what the last layer writes, only that at the end reaches the logits
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
