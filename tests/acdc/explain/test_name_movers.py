"""Indirect objects in miniature, by hand: a duplicate-token head, a name mover and a negative one get their roles.

Prompts are `x y y` and `y x y`, whose answer is x. Two layers of two heads, no MLP, no norm:

    a0.h0  looks at the earlier occurrence of the own token (never at itself) and copies `token` to `twice`
    a0.h1  writes nothing
    a1.h0  looks at the tokens that are not what `twice` says, and copies `token` to `answer`
    a1.h1  looks there too, and takes a quarter of `token` away from `answer`
"""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import native as _native  # noqa: F401  # it adds boot_native to the class

from acdc.explain.labelling import Labels, label
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model, from_bridge
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric, KLDivergence, LogitDifference
from acdc.tasks.prompts import PromptPairs, TextPair
from acdc.tasks.tokenisation import tokenise

NAMES, LENGTH, NEGATIVE = 5, 3, 0.25
TOKEN, POSITION, TWICE, ANSWER = slice(0, 5), slice(5, 8), slice(8, 13), slice(13, 18)
WANTED = {
    "a0.h0": "duplicate token",
    "a0.h1": UNLABELLED,
    "a1.h0": "name mover",
    "a1.h1": "negative name mover",
}


def miniature() -> Model:
    wide = NAMES + LENGTH
    size = {"n_layers": 2, "n_heads": 2, "d_model": 18, "d_head": wide, "n_ctx": LENGTH, "d_vocab": NAMES}
    bridge = TransformerBridge.boot_native({**size, "attn_only": True, "normalization_type": None}, dtype=torch.float64)
    ours = bridge.original_model
    names, places = torch.eye(NAMES, dtype=torch.float64), torch.eye(LENGTH, dtype=torch.float64)
    sharp = 1000 * wide**0.5
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
        ours.tok_embed.weight[:, TOKEN] = names
        ours.pos.weight[:, POSITION] = places
        ours.head.weight[:, ANSWER] = names
        first, second = (block.attn for block in bridge.blocks)
        first.q.weight[:NAMES, TOKEN], first.k.weight[:NAMES, TOKEN] = sharp * names, names
        first.q.weight[NAMES:wide, POSITION], first.k.weight[NAMES:wide, POSITION] = -2 * sharp * places, places
        first.v.weight[:NAMES, TOKEN], first.o.weight[TWICE, :NAMES] = names, names
        for head, writes in ((0, 1.0), (1, -NEGATIVE)):
            own = slice(head * wide, head * wide + NAMES)
            second.q.weight[own, TWICE], second.k.weight[own, TOKEN] = -sharp * names, names
            second.v.weight[own, TOKEN], second.o.weight[ANSWER, own] = names, writes * names
    return from_bridge(bridge)


def found(metric: AbstractMetric) -> Labels:
    pairs = []
    for x, y in permutations(range(NAMES), 2):
        for first in ((x, y), (y, x)):
            written = [f"token ids: {' '.join(map(str, (*first, last)))}" for last in (y, x)]
            pair, problem = tokenise(TextPair(*written, (str(x),), (str(y),)), None)
            assert pair is not None, problem
            pairs.append(pair)
    problem = Problem(miniature(), PromptPairs(tuple(pairs)), metric, Ablation.RESAMPLE)
    heads = [f"{node}->logits" for node in problem.graph.senders if node.kind == "head"]
    return label(Circuit.from_names(problem.graph, heads), problem, problem)


@pytest.fixture(scope="module")
def labels() -> Labels:
    return found(LogitDifference())


def test_each_head_has_its_role(labels: Labels) -> None:
    assert {node.name: role.role for node, role in labels.roles.items()} == WANTED


def test_roles_do_not_hang_on_the_metric() -> None:
    assert {node.name: role.role for node, role in found(KLDivergence()).roles.items()} == WANTED


def test_direct_effects_are_what_the_heads_write(labels: Labels) -> None:
    direct = {head.name: effect for head, effect in labels.kept.direct.items()}
    assert direct["a1.h0"].part.value == pytest.approx(1 / (1 - NEGATIVE))
    assert direct["a1.h1"].part.value == pytest.approx(-NEGATIVE / (1 - NEGATIVE))
    assert (direct["a0.h0"].sign, direct["a1.h0"].sign, direct["a1.h1"].sign) == (0, 1, -1)


def test_costs_are_those_of_the_end_and_worked_out_by_hand(labels: Labels) -> None:
    whole = 2 * (1 - NEGATIVE)  # from 1 - NEGATIVE to as much below 0
    assert labels.needed[Node("head", 1, 0)] == {"END": pytest.approx(2 / whole), "first": 0, "other": 0}
    assert labels.needed[Node("head", 1, 1)]["END"] == pytest.approx(-2 * NEGATIVE / whole)
