"""Which heads steer name movers away from distractors: they look at a distractor, and say so to the movers' queries.

Source: the S-inhibition heads of Wang et al. 2022 (arXiv:2211.00593), section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.attention import layer_patterns
from acdc.explain.estimates import means
from acdc.explain.head_behaviours import all_heads
from acdc.explain.head_evidence import ABOVE_CHANCE, ATTENTION
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import Node
from acdc.judges.faithfulness import Interval
from acdc.problem import Problem

MOVES = 0.1
"""So much of the name movers' attention leaves the answers without a head, and so much goes to distractors."""
MOVED_AWAY = "name movers' attention to answers without it"
MOVED_TOWARDS = "name movers' attention to distractors without it"
"""By how much these rise: names of evidence."""


@dataclass(frozen=True)
class Inhibition:
    """Where all heads of a model look at the scored position, and where name movers look without some of the heads.

    `looks` is the attention to distractors and `even` what even attention pays. `answers` and `distractors` are by how
    much the attention of the name movers behind each of `heads` to these rises, in their mean, when the edge from it
    into their queries alone is removed. All are prompt by prompt.
    """

    heads: tuple[Node, ...]
    every: tuple[Node, ...]
    looks: Float[Tensor, "every prompt"]
    even: Float[Tensor, " prompt"]
    answers: Float[Tensor, "head prompt"]
    distractors: Float[Tensor, "head prompt"]

    def fits(self, head: Node) -> bool:
        """Whether a head looks at distractors, and keeps the name movers' attention from them and on answers."""
        even = float(self.even.mean())
        looks = self.attention(head) >= max(ATTENTION, even + ABOVE_CHANCE)
        away, towards = (self._rise(part, head) for part in (self.answers, self.distractors))
        return looks and away.value <= -MOVES and away.high < 0 and towards.value >= MOVES and towards.low > 0

    def attention(self, head: Node) -> float:
        """What a head pays to distractors."""
        return float(self.looks[self.every.index(head)].mean())

    def percentile(self, head: Node) -> float:
        """What part of the heads pay no more than this one."""
        paid = self.looks.mean(1)
        return float((paid <= paid[self.every.index(head)]).double().mean())

    def evidence(self, head: Node) -> dict[str, float]:
        """The numbers."""
        return {
            "attention to a distractor": self.attention(head),
            "by chance": float(self.even.mean()),
            MOVED_AWAY: self._rise(self.answers, head).value,
            MOVED_TOWARDS: self._rise(self.distractors, head).value,
        }

    def _rise(self, part: Float[Tensor, "head prompt"], head: Node) -> Interval:
        return means(part[self.heads.index(head)][None]).interval(0)


def inhibition(problem: Problem, heads: Sequence[Node], movers: Sequence[Node]) -> Inhibition:
    """How some heads steer name movers; those that no name mover is behind are left out."""
    first = max((mover.layer for mover in movers), default=0)
    before, every = tuple(head for head in heads if head.layer < first), all_heads(problem)
    found = torch.zeros(len(every) + 1 + 2 * len(before), len(problem.pairs), dtype=torch.float64)
    for batch in problem.batches:
        prompts = batch.prompts
        tokens = prompts.clean[:, : batch.runs.length].to(batch.runs.delta.device)
        answers, distractors = (_among(tokens, some) for some in (prompts.answers, prompts.distractors))
        rows = torch.cat((_looks(batch.whole, distractors), _moved(batch, before, movers, answers, distractors)))
        shares = prompts.shares
        found[:, prompts.prompts.cpu()] = prompts.added_up(rows if shares is None else rows * shares.to(rows)).cpu()
        del batch
    looks, even, away, towards = torch.split(found, [len(every), 1, len(before), len(before)])
    return Inhibition(before, every, looks, even[0], away, towards)


def _among(tokens: Int[Tensor, "row pos"], some: Int[Tensor, "row token"]) -> Bool[Tensor, "row pos"]:
    """Which of the tokens are some of these, of which -1 is none."""
    return (tokens[:, :, None] == some.to(tokens.device)[:, None, :]).any(-1)


def _looks(runs: Runs, keys: Bool[Tensor, "row pos"]) -> Float[Tensor, "column row"]:
    """What all heads pay to these keys at the scored positions, and last what even attention does."""
    rows = torch.arange(len(keys), device=keys.device)
    wanted = keys.double()
    paid = [(heads[:, rows, runs.scored_positions].double() * wanted).sum(-1) for heads in layer_patterns(runs)]
    allowed = runs.layers[0].scored_geometry.allowed.expand(len(keys), 1, -1)[:, 0].double()
    even = (allowed * wanted).sum(-1) / allowed.sum(-1)
    return torch.cat((*paid, even[None]))


def _moved(
    batch: Batch,
    heads: Sequence[Node],
    movers: Sequence[Node],
    answers: Bool[Tensor, "row pos"],
    distractors: Bool[Tensor, "row pos"],
) -> Float[Tensor, "column row"]:
    """By how much the movers' attention to answers, then to distractors rises without each head in their queries."""
    runs, columns = batch.whole, torch.stack((answers, distractors)).double()
    total = torch.zeros(2, len(heads), len(answers), dtype=torch.float64, device=columns.device)
    count = torch.zeros(len(heads), 1, dtype=torch.float64, device=columns.device)
    for mover in movers:
        layer = runs.layers[mover.layer]
        numbers = [number for number, head in enumerate(heads) if head.layer < mover.layer]
        which = torch.full((len(numbers) + 1,), mover.head, device=columns.device)
        residual = runs.clean_residual(layer.indices.reads)
        carried = runs.scored(runs.delta[[runs.graph.sender_index[heads[number]] for number in numbers]])
        reads = torch.cat((runs.scored(residual)[None], runs.scored(residual) - carried))
        with torch.no_grad():
            q = layer.project("q", reads, which, all_positions=False)
            k = layer.project("k", residual[None], which[:1]).expand(len(which), -1, -1, -1)
            pattern = layer.layer.attention.pattern(q, k, layer.scored_geometry, which)[:, :, 0].double()
        paid = torch.einsum("hbk,cbk->chb", pattern, columns)
        total[:, numbers] += paid[:, 1:] - paid[:, :1]
        count[numbers] += 1
    return (total / count.clamp(min=1)).flatten(0, 1)
