"""A model whose weights were chosen so that its circuits can be worked out on paper.

Two layers of two heads, no MLP, no norm, three tokens a, b, c. The residual stream has a slot per piece of
information; all numbers below are over (a, b, c).

    token     what the token is                              written by `input`
    position  where it stands                                written by `input`
    previous  what the token before it is                    written by a0.h0, the previous-token head
    answer    the logits                                     written by a1.h0 and a1.h1

    a0.h0  looks one position back (the first position looks at itself) and copies `token` to `previous`
    a0.h1  writes nothing: the value matrix is zero
    a1.h0  the induction head: looks for the positions whose `previous` is the own `token`, copies `token` to `answer`
    a1.h1  looks everywhere alike (it has no queries) and copies `token` to `answer`
    logits = `answer` - `token`; layer 1's attention adds a bias of 1 to c, which belongs to no node

Scores are 0 or 1000, so a softmax is exactly uniform over the best keys.

    clean    c a b a   previous: c c a b   the last a looks for `previous` a, at b: induction says b
    corrupt  a b c b   previous: a a b c   the last b looks for `previous` b, at c: induction says c

At the last position, with all of the clean run: b - a + (1/2, 1/4, 1/4) + bias = (-1/2, 5/4, 5/4);
with all of the corrupt run: c - b + (1/4, 1/2, 1/4) + bias = (1/4, -1/2, 9/4).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import native as _native  # noqa: F401  # it adds boot_native to the class

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.runs import TokenPairs, prepare
from acdc.graphs.model import Model, from_bridge

N_TOKENS, N_POSITIONS = 3, 4
TOKEN, POSITION, PREVIOUS, ANSWER = slice(0, 3), slice(3, 7), slice(7, 10), slice(10, 13)
D_MODEL, D_HEAD = 13, 4
A, B, C = range(3)

CLEAN = torch.tensor([[C, A, B, A]])
CORRUPT = torch.tensor([[A, B, C, B]])
LAST = torch.tensor([3])

THE_CIRCUIT = [
    "input->a0.h0<v>",  # what the token before is
    "a0.h0->a1.h0<k>",
    "input->a1.h0<q>",  # what to look for
    "input->a1.h0<v>",  # what to say
    "input->a1.h1<v>",
    "input->logits",
    "a1.h0->logits",
    "a1.h1->logits",
]
WHERE_TO_LOOK = ["input->a0.h0<q>", "input->a0.h0<k>"]  # positions, the same in every prompt


@pytest.fixture(scope="module")
def model() -> Model:
    return hand_weighted()


def hand_weighted(dtype: torch.dtype = torch.float64) -> Model:
    size = {
        "n_layers": 2,
        "n_heads": 2,
        "d_model": D_MODEL,
        "d_head": D_HEAD,
        "n_ctx": N_POSITIONS,
        "d_vocab": N_TOKENS,
    }
    bridge = TransformerBridge.boot_native({**size, "attn_only": True, "normalization_type": None}, dtype=torch.float64)
    ours = bridge.original_model
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
        ours.tok_embed.weight[:, TOKEN] = torch.eye(N_TOKENS, dtype=torch.float64)
        ours.pos.weight[:, POSITION] = torch.eye(N_POSITIONS, dtype=torch.float64)
        ours.head.weight[:, ANSWER] = torch.eye(N_TOKENS, dtype=torch.float64)
        ours.head.weight[:, TOKEN] = -torch.eye(N_TOKENS, dtype=torch.float64)
        first, second = (block.attn for block in bridge.blocks)
        sharp = 1000 * D_HEAD**0.5  # scores are divided by the root of d_head
        back = torch.diag(torch.ones(N_POSITIONS - 1, dtype=torch.float64), 1)  # [head, position]: one further on
        first.q.weight[:D_HEAD, POSITION] = sharp * back
        first.k.weight[:D_HEAD, POSITION] = torch.eye(N_POSITIONS, dtype=torch.float64)
        read(first.v.weight, 0, TOKEN)
        write(first.o.weight, 0, PREVIOUS)
        write(first.o.weight, 1, ANSWER)  # of nothing
        read(second.q.weight, 0, TOKEN, sharp)
        read(second.k.weight, 0, PREVIOUS)
        for head in (0, 1):
            read(second.v.weight, head, TOKEN)
            write(second.o.weight, head, ANSWER)
        second.o.bias[ANSWER] = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return from_bridge(bridge.to(dtype))


def read(weight: Tensor, head: int, slot: slice, factor: float = 1.0) -> None:
    """Let a head's query, key or value be what stands in a slot."""
    weight[head * D_HEAD : head * D_HEAD + N_TOKENS, slot] = factor * torch.eye(N_TOKENS, dtype=torch.float64)


def write(weight: Tensor, head: int, slot: slice) -> None:
    """Let a head write its value into a slot."""
    weight[slot, head * D_HEAD : head * D_HEAD + N_TOKENS] = torch.eye(N_TOKENS, dtype=torch.float64)


def assert_logits(got: Tensor, wanted: tuple[float, float, float]) -> None:
    torch.testing.assert_close(got, torch.tensor([wanted], dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_model_does_what_it_was_weighted_for(model: Model) -> None:
    assert_logits(model.logits(CLEAN)[:, -1], (-1 / 2, 5 / 4, 5 / 4))
    assert_logits(model.logits(CORRUPT)[:, -1], (1 / 4, -1 / 2, 9 / 4))
    with torch.no_grad():
        torch.testing.assert_close(model.bridge(CLEAN), model.logits(CLEAN), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        # Nothing: the corrupt run.
        ([], (1 / 4, -1 / 2, 9 / 4)),
        # The direct path: corrupt induction c, less the clean token a, corrupt mean and bias.
        (["input->logits"], (-3 / 4, 1 / 2, 9 / 4)),
        # The mean head alone: c - b + (1/2, 1/4, 1/4) + bias.
        (["input->a1.h1<v>", "a1.h1->logits"], (1 / 2, -3 / 4, 9 / 4)),
        # Only what to say: the corrupt b finds the corrupt c at position 2, where the clean prompt has b:
        # b - b + (1/4, 1/2, 1/4) + bias.
        (["input->a1.h0<v>", "a1.h0->logits"], (1 / 4, 1 / 2, 5 / 4)),
        # Only what to look for: the clean a among a a b c is found at 0 and 1, corrupt a and b:
        # (a + b)/2 - b + (1/4, 1/2, 1/4) + bias.
        (["input->a1.h0<q>", "a1.h0->logits"], (3 / 4, 0, 5 / 4)),
        # Only where to find it: the corrupt b among c c a b is found at 3, where the corrupt prompt has b:
        # b - b + (1/4, 1/2, 1/4) + bias.
        (["input->a0.h0<v>", "a0.h0->a1.h0<k>", "a1.h0->logits"], (1 / 4, 1 / 2, 5 / 4)),
        # All of it but what to say: found at 2, corrupt c: the corrupt run again.
        (["input->a0.h0<v>", "a0.h0->a1.h0<k>", "input->a1.h0<q>", "a1.h0->logits"], (1 / 4, -1 / 2, 9 / 4)),
        # The whole induction path says b: b - b + (1/4, 1/2, 1/4) + bias.
        (
            ["input->a0.h0<v>", "a0.h0->a1.h0<k>", "input->a1.h0<q>", "input->a1.h0<v>", "a1.h0->logits"],
            (1 / 4, 1 / 2, 5 / 4),
        ),
        # A path that stops before the logits.
        (["input->a0.h0<v>", "a0.h0->a1.h0<k>"], (1 / 4, -1 / 2, 9 / 4)),
        # The circuit: the clean run.
        (THE_CIRCUIT, (-1 / 2, 5 / 4, 5 / 4)),
    ],
)
def test_circuits_give_what_was_worked_out_under_resampling(
    model: Model, names: list[str], wanted: tuple[float, float, float]
) -> None:
    logits = Executor(model, CLEAN, CORRUPT, LAST).run([Circuit.from_names(model.graph, names)])
    assert_logits(logits[0], wanted)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        # Only the bias, which no ablation takes away.
        ([], (0, 0, 1)),
        (["input->logits"], (-1, 0, 1)),
        # Induction without queries and keys looks everywhere alike.
        (["input->a1.h0<v>", "a1.h0->logits"], (1 / 2, 1 / 4, 5 / 4)),
        # The previous-token head without positions carries the mean of the tokens so far: c, (a+c)/2, (a+b+c)/3,
        # (2a+b+c)/4. The last a finds the most a at 1 and 3, which are both a: a - a + (1/2, 1/4, 1/4) + bias.
        (THE_CIRCUIT, (1 / 2, 1 / 4, 5 / 4)),
        # With the positions it is the clean run.
        ([*THE_CIRCUIT, *WHERE_TO_LOOK], (-1 / 2, 5 / 4, 5 / 4)),
    ],
)
def test_circuits_give_what_was_worked_out_under_zero_ablation(
    model: Model, names: list[str], wanted: tuple[float, float, float]
) -> None:
    logits = Executor(model, CLEAN, CORRUPT, LAST, Ablation.ZERO).run([Circuit.from_names(model.graph, names)])
    assert_logits(logits[0], wanted)


def test_the_mean_of_the_corrupt_prompt_was_worked_out_too(model: Model) -> None:
    """What the nodes write at the four positions of a b c b, and their means.

    a1.h0: a finds itself (a); b finds nothing among a a (a/2 + b/2); c finds nothing among a a b (a third each);
    b finds c. Mean: (1 + 1/2 + 1/3, 1/2 + 1/3, 1/3 + 1) / 4 = (22, 10, 16) / 48.
    a1.h1: the means so far, a; (a+b)/2; (a+b+c)/3; (a+2b+c)/4. Mean: (25, 16, 7) / 48.
    input: the token itself. Mean: (1/4, 1/2, 1/4) = (12, 24, 12) / 48, subtracted.
    """
    circuits = [Circuit.empty(model.graph), Circuit.from_names(model.graph, ["input->logits"])]
    empty, direct = Executor(model, CLEAN, CORRUPT, LAST, Ablation.MEAN).run(circuits)
    assert_logits(empty, (35 / 48, 2 / 48, 11 / 48 + 1))
    assert_logits(direct, (47 / 48 - 1, 26 / 48, 23 / 48 + 1))
    # Position by position, over one prompt, is the prompt itself.
    geometry = Executor(model, CLEAN, CORRUPT, LAST, Ablation.MEAN_POSITIONAL).run(circuits)
    assert_logits(geometry[0], (1 / 4, -1 / 2, 9 / 4))
    # Over this prompt and the clean one it is halfway between the two runs' answers.
    both = Executor(model, CLEAN.repeat(2, 1), torch.cat((CORRUPT, CLEAN)), LAST.repeat(2), Ablation.MEAN_POSITIONAL)
    assert_logits(both.run(circuits[:1])[0, :1], (-1 / 8, 3 / 8, 7 / 4))


@pytest.mark.parametrize(
    ("ablation", "wanted"),
    [
        (Ablation.RESAMPLE, THE_CIRCUIT),
        (Ablation.ZERO, [*THE_CIRCUIT, *WHERE_TO_LOOK]),
    ],
)
def test_the_edges_whose_removal_matters_are_the_circuit(model: Model, ablation: Ablation, wanted: list[str]) -> None:
    """Under resampling positions do not matter, being the same in every prompt; under zero ablation they do."""
    incremental = IncrementalExecutor(prepare(model, TokenPairs(CLEAN, CORRUPT, LAST), ablation))
    found = set()
    for receiver in reversed(model.graph.receivers):
        edges = model.graph.incoming(receiver)
        incremental.begin(receiver)
        without = incremental.try_removals(receiver, range(len(edges)), together=False)
        changes = (without - incremental.logits).abs().amax((1, 2))
        found |= {edge.name for edge, change in zip(edges, changes, strict=True) if change > 1e-9}
        incremental.accept(0)
    assert found == set(wanted)


def test_greedily_removing_what_changes_nothing_leaves_the_circuit(model: Model) -> None:
    incremental = IncrementalExecutor(prepare(model, TokenPairs(CLEAN, CORRUPT, LAST), Ablation.RESAMPLE))
    untested = []
    for receiver in reversed(model.graph.receivers):
        if not incremental.begin(receiver):
            untested.append(receiver.name)
            continue
        for sender in reversed(range(model.graph.reads(receiver))):
            change = incremental.try_removals(receiver, [sender]) - incremental.logits
            incremental.accept(int(change.abs().max() < 1e-9))
    assert Circuit.from_mask(model.graph, incremental.kept.numpy()) == Circuit.from_names(model.graph, THE_CIRCUIT)
    assert untested == [f"a0.h1<{slot}>" for slot in "vkq"]  # the head that writes nothing
