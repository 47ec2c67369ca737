"""What nodes do on a few example prompts: where heads look, and which tokens a node's output promotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.attacks.measuring import written
from acdc.explain.attention import layer_patterns
from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.model import Model
from acdc.graphs.model.parts import Norm
from acdc.graphs.nodes import Node
from acdc.problem import Problem

PROMPTS = 4
"""How many prompts are shown."""
LONGEST = 96
"""Prompts of more tokens are passed over: a page would grow with the square of their length."""
_TOKENS = 8


@dataclass(frozen=True)
class ExamplePrompts:
    """Prompt pairs as the texts of their tokens, and what nodes do on each of them.

    `patterns` has of each head its attention [query, key] on every clean and every corrupt prompt, `promoted` of each
    head and MLP the tokens whose logits its output on the clean prompt raises most at the scored position, with the
    logit, less the mean over the vocabulary; the final norm is that of the clean run.
    """

    clean: tuple[tuple[str, ...], ...]
    corrupt: tuple[tuple[str, ...], ...]
    patterns: Mapping[Node, tuple[tuple[Float[Tensor, "query key"], Float[Tensor, "query key"]], ...]]
    promoted: Mapping[Node, tuple[tuple[tuple[str, float], ...], ...]]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, shares of attention in thousandths, each two digits to the base of 36."""
        return {
            "prompts": [
                {"clean": list(clean), "corrupt": list(corrupt)}
                for clean, corrupt in zip(self.clean, self.corrupt, strict=True)
            ],
            "heads": {
                node.name: [[_digits(pattern) for pattern in pair] for pair in pairs]
                for node, pairs in self.patterns.items()
            },
            "promotes": {node.name: [list(map(list, each)) for each in said] for node, said in self.promoted.items()},
        }


def example_prompts(problem: Problem, nodes: Iterable[Node], count: int = PROMPTS) -> ExamplePrompts:
    """What these nodes do on the first prompts of a problem that are not too long.

    Raises: ModelChanged.
    """
    wanted = [node for node in nodes if node.kind in ("head", "mlp")]
    patterns: dict[Node, list[tuple[Tensor, Tensor]]] = {node: [] for node in wanted if node.kind == "head"}
    promoted: dict[Node, list[tuple[tuple[str, float], ...]]] = {node: [] for node in wanted}
    texts: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    short = [pair for pair in problem.pairs.pairs if pair.length <= LONGEST][:count]
    for pair in short:
        clean, corrupt = (_alone(problem.model, side, pair.position) for side in (pair.clean, pair.corrupt))
        for head, both in _patterns(clean, corrupt, patterns).items():
            patterns[head].append(both)
        for node, tokens in zip(wanted, _promoted(clean, wanted), strict=True):
            promoted[node].append(tokens)
        shown = clean.delta.shape[-2]
        texts.append(
            (_words(problem.model, pair.clean[:shown]), _words(problem.model, pair.corrupt[:shown])),
        )
    return ExamplePrompts(
        tuple(clean for clean, _ in texts),
        tuple(corrupt for _, corrupt in texts),
        {node: tuple(each) for node, each in patterns.items()},
        {node: tuple(each) for node, each in promoted.items()},
    )


def _alone(model: Model, tokens: tuple[int, ...], position: int) -> Runs:
    """The run of one prompt up to its scored position, as the difference from nothing."""
    ids = torch.tensor([tokens], device=model.device)
    prompt = TokenPairs(ids, ids, torch.tensor([position], device=model.device))
    return prepare(model.by_position(()), prompt, Ablation.ZERO)


def _words(model: Model, tokens: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(written(model, token) for token in tokens)


def _patterns(clean: Runs, corrupt: Runs, heads: Iterable[Node]) -> dict[Node, tuple[Tensor, Tensor]]:
    wanted = set(heads)
    found = {}
    for layer, both in enumerate(zip(layer_patterns(clean), layer_patterns(corrupt), strict=True)):
        for head in range(len(both[0])):
            node = Node("head", layer, head)
            if node in wanted:
                found[node] = (both[0][head, 0].cpu(), both[1][head, 0].cpu())
    return found


@torch.no_grad()
def _promoted(clean: Runs, nodes: Sequence[Node]) -> list[tuple[tuple[str, float], ...]]:
    """The tokens that what each of these nodes writes at the scored position promotes most."""
    if not nodes:
        return []
    model = clean.model
    index = model.graph.sender_index
    wrote = clean.scored(clean.delta)[[index[node] for node in nodes], 0, 0]
    final = clean.scored(clean.clean_residual(len(model.graph.senders)))[0, 0]
    directions = _normed(model.unembedding.norm, wrote, final)
    logits = directions.float() @ model.unembedding.weight.float().T
    top = (logits - logits.mean(-1, keepdim=True)).topk(min(_TOKENS, logits.shape[-1]))
    return [
        tuple((written(model, token), round(value, 4)) for value, token in zip(*each, strict=True) if value > 0)
        for each in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]


def _normed(
    norm: Norm, parts: Float[Tensor, "part d_model"], whole: Float[Tensor, " d_model"]
) -> Float[Tensor, "part d_model"]:
    """What the norm makes of parts of a residual stream, with the scale that it has for the whole of it."""
    match norm.kind:
        case "none":
            return parts
        case "rms":
            return parts * norm.scale(whole)
        case "layer":
            centred = parts - parts.mean(-1, keepdim=True)
            scaled = centred * torch.rsqrt(whole.float().var(unbiased=False) + norm.eps).to(parts.dtype)
            return scaled if norm.weight is None else scaled * norm.weight


def _digits(pattern: Float[Tensor, "query key"]) -> str:
    """Rows of two digits for every key that a query may look at, up to the last that it does look at."""
    thousandths: Int[Tensor, "query key"] = (pattern.double() * 1000).round().long().clamp(0, 1000)
    rows = []
    for row in thousandths.tolist():
        while row and row[-1] == 0:
            row.pop()
        rows.append("".join(_PAIRS[value] for value in row))
    return " ".join(rows)


_BASE = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [_BASE[value // 36] + _BASE[value % 36] for value in range(1001)]
