"""A program computes its variables, with and without interchanges, and says which edges it needs."""

from __future__ import annotations

import json

import torch

from acdc.tasks.models.training.program import Program, Variable

# the answer is the last token plus the sum of the first two
PROGRAM = Program(
    "Adds up.",
    (
        Variable("the first two", "a0.h1", (("input", "v"),), lambda tokens: tokens[:, :2].sum(1)),
        Variable("the sum", "m1", (("a0.h1", ""), ("input", "")), lambda pair, tokens: pair + tokens[:, 2]),
        Variable("the answer", "logits", (("m1", ""),), lambda total: total),
    ),
)
TOKENS, SOURCE = torch.tensor([[1, 2, 3], [1, 2, 3]]), torch.tensor([[10, 20, 40], [10, 20, 40]])


def answers(*interchanged: str) -> list[int]:
    """The answers when these edges are interchanged in the second row only."""
    swapped = {edge: torch.tensor([False, edge in interchanged]) for edge in PROGRAM.edges}
    return PROGRAM.values(TOKENS, PROGRAM.values(SOURCE), swapped)["logits"].tolist()


def test_the_edges_follow_from_what_is_read() -> None:
    assert PROGRAM.edges == ("input->a0.h1<v>", "a0.h1->m1", "input->m1", "m1->logits")


def test_without_interchanges_a_program_computes_its_answer() -> None:
    assert PROGRAM.values(TOKENS)["logits"].tolist() == [6, 6]


def test_an_interchanged_edge_carries_the_other_prompts_value_to_its_reader_alone() -> None:
    assert answers() == [6, 6]
    assert answers("input->a0.h1<v>") == [6, 33]
    assert answers("a0.h1->m1") == [6, 33]
    assert answers("input->m1") == [6, 43]
    assert answers("a0.h1->m1", "input->m1") == [6, 70]
    assert answers("m1->logits") == [6, 70]


def test_an_interchange_before_an_interchange_is_hidden_by_it() -> None:
    assert answers("input->a0.h1<v>", "a0.h1->m1") == [6, 33]


def test_the_truth_names_program_variables_graph_and_edges() -> None:
    truth = json.loads(PROGRAM.truth("adding"))
    assert truth["task"] == "adding"
    assert truth["program"] == "Adds up."
    assert truth["variables"]["the first two"] == "a0.h1"
    assert truth["graph"][0] == "the prompt -> the first two"
    assert len(truth["graph"]) == len(truth["edges"])
    assert truth["edges"] == list(PROGRAM.edges)
    assert truth["ablation"] == "resample"
