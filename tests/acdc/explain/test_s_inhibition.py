"""A head that looks at the distractor and keeps a name mover from it is an S-inhibition head; by hand, on real prompts.

Prompts are `x y` or `y x`, then y and two fillers `e` in any order, then `e`, whose answer is x. Two layers of two
heads, no MLP, no norm:

    a0.h0  looks from everywhere at the names past the first two, and copies them to `twice`
    a0.h1  looks there too, and copies them to where nothing reads
    a1.h0  looks at names that are not what `twice` says, and copies them to `answer`
    a1.h1  writes nothing
"""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import native as _native  # noqa: F401  # it adds boot_native to the class

from acdc.explain.explanation import Explanation, explain
from acdc.explain.s_inhibition import inhibition
from acdc.explain.summary import summary
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model, from_bridge
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED
from acdc.problem import Problem
from acdc.tasks import About, Task
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.prompts import ListedPrompts, PromptPairs, TextPair
from acdc.tasks.tokenisation import tokenise

NAMES, FILLER, LENGTH = 5, 5, 6
TOKEN, POSITION, TWICE, ANSWER, UNREAD = slice(0, 6), slice(6, 12), slice(12, 17), slice(17, 22), slice(22, 27)
NAMED = slice(0, NAMES)
WANTED = {"a0.h0": "S-inhibition", "a0.h1": UNLABELLED, "a1.h0": "name mover", "a1.h1": UNLABELLED}


def by_hand() -> Model:
    wide = NAMES + 1
    size = {"n_layers": 2, "n_heads": 2, "d_model": 27, "d_head": wide, "n_ctx": LENGTH, "d_vocab": 6}
    bridge = TransformerBridge.boot_native({**size, "attn_only": True, "normalization_type": None}, dtype=torch.float64)
    ours = bridge.original_model
    names, sharp = torch.eye(NAMES, dtype=torch.float64), 1000 * wide**0.5
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
        ours.tok_embed.weight[:, TOKEN] = torch.eye(6, dtype=torch.float64)
        ours.pos.weight[:, POSITION] = torch.eye(LENGTH, dtype=torch.float64)
        ours.head.weight[NAMED, ANSWER] = names
        first, second = (block.attn for block in bridge.blocks)
        for head, goes in ((0, TWICE), (1, UNREAD)):
            own = slice(head * wide, head * wide + NAMES)
            first.q.weight[own.stop, POSITION] = sharp  # the same from everywhere
            first.k.weight[own.stop, NAMED] = 1.0
            first.k.weight[own.stop, POSITION] = torch.tensor([0, 0, 1, 1, 1, 1], dtype=torch.float64)
            first.v.weight[own, NAMED], first.o.weight[goes, own] = names, names
        own = slice(0, NAMES)
        second.q.weight[own, TWICE], second.k.weight[own, NAMED] = -sharp * names, names
        second.q.weight[NAMES, POSITION], second.k.weight[NAMES, NAMED] = sharp, 1.0
        second.v.weight[own, NAMED], second.o.weight[ANSWER, own] = names, names
    return from_bridge(bridge)


def prompts() -> PromptPairs:
    pairs = []
    for x, y in permutations(range(NAMES), 2):
        for first in ((x, y), (y, x)):
            for place in range(3):
                written = []
                for again in (y, x):
                    rest = [FILLER] * 4
                    rest[place] = again
                    written.append(f"token ids: {' '.join(map(str, (*first, *rest)))}")
                pair, problem = tokenise(TextPair(*written, (str(x),), (str(y),)), None)
                assert pair is not None, problem
                pairs.append(pair)
    return PromptPairs(tuple(pairs))


def explained(model: Model) -> tuple[Problem, Circuit]:
    problem = Problem(model, prompts(), LogitDifference())
    heads = [f"{node}->logits" for node in problem.graph.senders if node.kind == "head"]
    return problem, Circuit.from_names(problem.graph, heads)


@pytest.fixture(scope="module")
def found() -> Explanation:
    problem, circuit = explained(by_hand())
    task = Task("hand", About("By hand."), "hand", "logit_difference", ListedPrompts((), ()))
    return explain(circuit, problem, problem, task)


def test_the_head_that_steers_has_the_role_and_no_other_head(found: Explanation) -> None:
    assert {node.name: role.role for node, role in found.roles.items()} == WANTED


def test_its_evidence_is_worked_out_by_hand(found: Explanation) -> None:
    evidence = found.roles[Node("head", 0, 0)].evidence
    assert evidence["attention to a distractor"] == 1  # of even attention 2 of 6 keys
    assert evidence["by chance"] == pytest.approx(1 / 3, abs=1e-4)
    assert evidence["name movers' attention to answers without it"] == -1
    assert evidence["name movers' attention to distractors without it"] == 1
    assert found.roles[Node("head", 0, 0)].percentile == 1


def test_it_is_said_in_words(found: Explanation) -> None:
    said = "S-inhibition head a0.h0 (100% of its attention goes to a distractor; without it name movers pay 100 points"
    assert f"{said} less to answers and 100 more to distractors)" in summary(found)


def test_a_head_whose_edge_does_not_move_the_name_mover_has_none() -> None:
    problem, _ = explained(by_hand())
    measured = inhibition(problem, [Node("head", 0, 0), Node("head", 0, 1)], [Node("head", 1, 0)])
    assert measured.attention(Node("head", 0, 1)) == 1
    assert [measured.fits(head) for head in measured.heads] == [True, False]


def test_only_heads_before_a_name_mover_are_looked_at() -> None:
    problem, _ = explained(by_hand())
    assert inhibition(problem, [Node("head", 1, 1), Node("head", 0, 1)], [Node("head", 1, 0)]).heads == (
        Node("head", 0, 1),
    )
    assert inhibition(problem, [Node("head", 0, 1)], []).heads == ()
