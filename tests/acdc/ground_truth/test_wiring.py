"""Which edges follow from what nodes read and write."""

from __future__ import annotations

import pytest
import torch

from acdc.graphs.ablation import Ablation
from acdc.ground_truth.wiring import Board, Shape

POSITIONAL = {"input->a1.h0<q>", "input->a1.h0<k>"}
BIAS = {"input->m1"}
CARRIED = {"input->a1.h0<v>", "a1.h0->m1", "m1->logits"}


@pytest.fixture
def board() -> Board:
    """A head finds a position and passes what it takes there to an MLP with a bias; another head is read by nobody."""
    eye = torch.eye(3)
    board = Board(Shape(2, 1, 3, 4, 3, 3), {"found": 3, "said": 3, "unread": 3}, torch.Generator().manual_seed(0))
    position = {"positions": eye}
    board.head(0, position, position, {"tokens": eye}, ("unread", eye))
    board.head(1, position, position, {"tokens": eye}, ("found", eye))
    board.mlp(1, {"found": eye, "one": -torch.ones(1, 3)}, ("said", eye))
    board.logits({"said": eye})
    return board


@pytest.mark.parametrize(
    ("ablation", "names"),
    [
        (Ablation.RESAMPLE, CARRIED),
        (Ablation.MEAN_POSITIONAL, CARRIED),
        (Ablation.MEAN, CARRIED | POSITIONAL),
        (Ablation.ZERO, CARRIED | POSITIONAL | BIAS),
    ],
)
def test_edges_are_true_where_what_they_carry_differs_from_its_stand_in(
    board: Board, ablation: Ablation, names: set[str]
) -> None:
    assert {edge.name for edge in board.edges(ablation)} == names


def test_a_later_node_does_not_feed_an_earlier_one() -> None:
    eye = torch.eye(3)
    board = Board(Shape(2, 1, 3, 4, 3, 3), {"found": 3, "said": 3}, torch.Generator().manual_seed(0))
    board.head(1, {}, {}, {"tokens": eye}, ("found", eye))
    board.mlp(0, {"found": eye}, ("said", eye))
    board.logits({"said": eye})
    assert {edge.name for edge in board.edges(Ablation.RESAMPLE)} == {"m0->logits"}


def test_a_seed_repeats_the_weights_and_distractors_are_not_zero(board: Board) -> None:
    weights = board.finish()
    assert all(bool(layer.mlp_in.any() and layer.mlp_out.any()) for layer in weights.layers)
    # the basis is orthogonal: lengths are those of one token and the constant
    torch.testing.assert_close(weights.tokens.norm(dim=1), torch.full((3,), 2**0.5, dtype=torch.float64))
