"""Edges by position: what receivers read over edges that are kept at some spans of a prompt only.

The residual stream that an input reads is local to a position; so is the choice of the edges that bring it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadTokens
from acdc.graphs.execution.sparse_mixing import mixed_sparsely, sparse_pays
from acdc.graphs.execution.tokens import Tokens


@dataclass(frozen=True)
class Positions:
    """Where prompts are scored and, if edges are by position, the number of the span that each position is of.

    Where only some `tokens` are held, among them all that are scored, spans are those of these: [1, token].

    Raises: BadTokens when a number is not that of one of `count` spans, or they are given for other prompts.
    """

    scored: Int[Tensor, " batch"]
    spans: Int[Tensor, "batch_or_1 pos_or_token"] | None = None
    count: int = 0
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        if self.spans is None:
            return
        if len(self.spans) != (len(self.scored) if self.tokens is None else 1) or not self.count:
            raise BadTokens(
                f"spans are given for {len(self.spans)} prompts of which {len(self.scored)} are scored, out of "
                f"{self.count} spans; wanted one row for each prompt, and spans to choose from"
            )
        if self.spans.numel() and not 0 <= int(self.spans.min()) <= int(self.spans.max()) < self.count:
            raise BadTokens(
                f"spans have numbers from {int(self.spans.min())} to {int(self.spans.max())}, of {self.count}; "
                "wanted one of the graph's spans for every position"
            )

    def to(self, device: torch.device) -> Positions:
        """The same on a device."""
        assert self.tokens is None
        return Positions(self.scored.to(device), None if self.spans is None else self.spans.to(device), self.count)

    def at(self, tokens: Tokens) -> Positions:
        """The same where only these tokens are held."""
        spans = None if self.spans is None else self.spans.flatten()[tokens.numbers][None]
        return Positions(self.scored, spans, self.count, tokens)

    def select(self, prompts: Int[Tensor, " some"], end: int) -> tuple[Positions, Callable[[Tensor], Tensor]]:
        """Those of some of the prompts, up to an end, and what makes the tensors of these of those of all."""
        scored = self.scored[prompts]
        if self.tokens is None:
            rows = _in_one_piece(prompts)
            spans = None if self.spans is None else self.spans[rows, :end]

            def of_prompts(x: Tensor) -> Tensor:
                return (x if x.shape[-3] == 1 else x[..., rows, :, :])[..., :end, :]

            return Positions(scored, spans, self.count), of_prompts
        tokens, chosen = self.tokens.select(prompts, end)
        piece = _in_one_piece(chosen)
        spans = None if self.spans is None else self.spans[:, piece]
        return Positions(scored, spans, self.count, tokens), lambda x: x if x.shape[-2] == 1 else x[..., piece, :]

    @cached_property
    def scored_at(self) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """The scored positions as indices of what is held."""
        if self.tokens is None:
            return torch.arange(len(self.scored), device=self.scored.device), self.scored
        return torch.zeros_like(self.scored), self.tokens.find(self.scored)

    def at_scored(self, x: Float[Tensor, "*lead _ pos d"]) -> Float[Tensor, "*lead batch 1 d"]:
        """What stands at each prompt's scored position, or x itself where it is already there."""
        if x.shape[-2] == 1:
            return x
        rows, columns = self.scored_at
        return x[..., rows, columns, :].unsqueeze(-2)

    def add_at_scored(self, x: Float[Tensor, "*lead _ pos d"], more: Float[Tensor, "*lead batch 1 d"]) -> None:
        """Add this to what stands at each prompt's scored position, in place."""
        rows, columns = self.scored_at
        x[..., rows, columns, :] += more.squeeze(-2)

    def by_prompt(self, x: Float[Tensor, "*lead _ pos"]) -> Float[Tensor, "*lead batch"]:
        """The sum over the positions of each prompt."""
        if self.tokens is None:
            return x.sum(-1)
        return x.new_zeros(*x.shape[:-2], len(self.scored)).index_add_(-1, self.tokens.prompt, x.squeeze(-2))

    def mix(
        self,
        weights: Float[Tensor, "*circuit receiver span sender"],
        written: Float[Tensor, "*circuit sender batch pos d"],
        *,
        onto: Float[Tensor, "*#receiver batch pos d"] | None = None,
        out: Float[Tensor, "receiver batch pos d"] | None = None,
    ) -> Float[Tensor, "*circuit receiver batch pos d"]:
        """The sum of what senders write, at every position with the weights of its span, and of `onto`.

        Of one span, or the same at all of them, one product. `onto` and `out` are for one circuit.
        """
        shape = (*weights.shape[:-2], *written.shape[-3:])
        if weights.shape[-2] == 1 or (not weights.requires_grad and bool((weights == weights[..., :1, :]).all())):
            whole, flat = weights[..., 0, :], written.flatten(-3)
            if whole.ndim == 2 and sparse_pays(whole, written):
                return mixed_sparsely(whole, written, onto, out)
            if onto is None:
                mixed: Tensor = (whole @ flat).view(shape)
                return mixed
            base = onto.flatten(-3)
            if out is None:
                return torch.addmm(base, whole, flat).view(shape)
            torch.addmm(base, whole, flat, out=out.flatten(1))
            return out
        result = written.new_zeros(shape) if out is None else out
        flat, here = written.flatten(-3, -2), result.flatten(-3, -2)  # [sender, batch * pos, d] and such a view
        start = None if onto is None else onto.expand(shape).flatten(-3, -2)
        for span, where in self._where(written.shape[-2]):
            part = weights[..., span, :]
            used = part.detach().ne(0).flatten(0, -2).any(0).nonzero().squeeze(1)
            of_span = flat[..., used[:, None], where, :]
            mixed = (part[..., used] @ of_span.flatten(-2)).view(*shape[:-3], len(where), shape[-1])
            here[..., where, :] = mixed if start is None else mixed + start[..., where, :]
        return result

    def contract(
        self, read: Float[Tensor, "receiver batch pos d"], written: Float[Tensor, "sender batch pos d"]
    ) -> Float[Tensor, "receiver span sender"]:
        """By span, the inner products of what receivers and senders have at its positions."""
        if self.spans is None:
            return (read.flatten(1) @ written.flatten(1).T)[:, None]
        products = read.new_zeros(len(read), self.count, len(written))
        one, other = read.flatten(1, 2), written.flatten(1, 2)
        for span, where in self._where(read.shape[-2]):
            products[:, span] = one[:, where].flatten(1) @ other[:, where].flatten(1).T
        return products

    def contract_by_row(
        self, read: Float[Tensor, "receiver batch pos d"], written: Float[Tensor, "batch sender number"]
    ) -> Float[Tensor, "batch receiver span sender"]:
        """The same row by row, the numbers of each row of what was written being those of all its positions."""
        assert self.tokens is None, "rows are those of whole prompts"
        rows = read.transpose(0, 1)
        if self.spans is None:
            return (rows.flatten(2) @ written.transpose(1, 2))[:, :, None]
        products = read.new_zeros(len(rows), len(read), self.count, written.shape[1])
        apart = written.view(*written.shape[:2], *read.shape[-2:])
        for span in range(self.count):
            inside = self.inside(span, all_positions=read.shape[-2] == self.spans.shape[1])
            columns = inside.any(0).nonzero().squeeze(1)
            some = rows[:, :, columns] * inside[:, None, columns, None]
            products[:, :, span] = some.flatten(2) @ apart[:, :, columns].flatten(2).transpose(1, 2)
        return products

    def confined(self, x: Float[Tensor, "*lead batch pos d"], span: int | None) -> Float[Tensor, "*lead batch pos d"]:
        """What stands at the positions of a span, and 0 elsewhere; x itself where there are no spans (None)."""
        if self.spans is None or span is None:
            return x
        return x * self.inside(span, all_positions=x.shape[-2] == self.spans.shape[1])[..., None]

    def inside(self, span: int, *, all_positions: bool) -> Bool[Tensor, "batch pos"]:
        """Which positions, or which scored ones, are of a span."""
        assert self.spans is not None
        return (self.spans if all_positions else self._scored_spans) == span

    @cached_property
    def _scored_spans(self) -> Int[Tensor, "batch 1"]:
        assert self.spans is not None
        rows, columns = self.scored_at
        return self.spans[rows, columns, None]

    def _where(self, length: int) -> Iterator[tuple[int, Int[Tensor, " position"]]]:
        """The positions of every span that there is, by number among those of all prompts, or among the scored ones."""
        assert self.spans is not None
        if length not in self._known:
            numbers = (self.spans if length == self.spans.shape[1] else self._scored_spans).flatten()
            self._known[length] = [(span, (numbers == span).nonzero().squeeze(1)) for span in range(self.count)]
        yield from ((span, where) for span, where in self._known[length] if len(where))

    @cached_property
    def _known(self) -> dict[int, list[tuple[int, Tensor]]]:
        return {}


def _in_one_piece(index: Int[Tensor, " some"]) -> slice | Int[Tensor, " some"]:
    """The same as a slice, which copies nothing, where these stand next to each other."""
    start = int(index[0]) if len(index) else 0
    neighbours = torch.arange(start, start + len(index), device=index.device)
    return slice(start, start + len(index)) if torch.equal(index, neighbours) else index


def rows_of(graph: ComputationalGraph) -> Int[Tensor, "input span"]:
    """The receivers that every input of the graph without spans is, by number; the logits are one at all spans."""
    inputs, spans = len(graph.without_spans.receivers), graph.per_input
    rows = torch.arange(inputs)[:, None] * spans + torch.arange(spans)
    return rows.clamp(max=len(graph.receivers) - 1)


def at_any_span(
    graph: ComputationalGraph, mask: Bool[Tensor, "*circuit receiver sender"]
) -> Bool[Tensor, "*circuit input sender"]:
    """Which senders every input reads at some span at least."""
    if not graph.spans:
        return mask
    logits, others = mask[..., -1:, :], mask[..., :-1, :]
    by_input = others.reshape(*others.shape[:-2], -1, graph.per_input, others.shape[-1])
    return torch.cat((by_input.any(-2), logits), dim=-2)
