"""A program as a graph of variables, each kept by one component of the model that is trained to compute it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Variable:
    """A variable of the program: what it means, the component that keeps it, and how it follows from what that reads.

    `reads` are edges into the component, as (sender, slot), slot "" for an MLP and the logits; `compute` takes what the
    senders keep, in this order. `input` keeps the tokens.
    """

    meaning: str
    component: str
    reads: tuple[tuple[str, str], ...]
    compute: Callable[..., Tensor]

    @property
    def edges(self) -> tuple[str, ...]:
        """The names of the edges it is read by."""
        return tuple(f"{s}->{self.component}" + (f"<{slot}>" if slot else "") for s, slot in self.reads)


@dataclass(frozen=True)
class Program:
    """Variables in the order in which they are computed; the last is kept by `logits` and is the answer's token."""

    sentence: str
    variables: tuple[Variable, ...]

    @property
    def edges(self) -> tuple[str, ...]:
        """The names of the edges along which the program is computed: the true ones."""
        return tuple(edge for variable in self.variables for edge in variable.edges)

    def values(
        self,
        tokens: Int[Tensor, "batch pos"],
        source: dict[str, Tensor] | None = None,
        swapped: dict[str, Bool[Tensor, " batch"]] | None = None,
    ) -> dict[str, Tensor]:
        """What every component keeps, where edges swapped in a row carry what they carry in the row of the source."""
        kept: dict[str, Tensor] = {"input": tokens}
        for variable in self.variables:
            arguments = []
            for (sender, _), edge in zip(variable.reads, variable.edges, strict=True):
                own = kept[sender]
                if source is not None and swapped is not None:
                    rows = swapped[edge].view(-1, *[1] * (own.dim() - 1))
                    own = torch.where(rows, source[sender], own)
                arguments.append(own)
            kept[variable.component] = variable.compute(*arguments)
        return kept

    def truth(self, task: str) -> str:
        """What `truth.json` says of a model that was trained to compute this program."""
        kept = {"input": "the prompt", **{variable.component: variable.meaning for variable in self.variables}}
        return json.dumps(
            {
                "task": task,
                "program": self.sentence,
                "variables": {meaning: component for component, meaning in kept.items()},
                "graph": [f"{kept[sender]} -> {v.meaning}" for v in self.variables for sender, _ in v.reads],
                "edges": list(self.edges),
                "ablation": "resample",
                "follows": "An edge is true if the graph has it: it joins the components that keep two variables, in "
                "that slot. Training interchanged edges, few or many at once, as resample ablation does: the answer "
                "had to become the program's when true edges are interchanged, and to stay when any others are.",
            },
            indent=1,
        )
