"""Candidate removals over all of a problem's prompts: what each costs, and making it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.algorithms.screen import KLScreen
from acdc.problem import Problem
from graphs.incremental import IncrementalExecutor
from graphs.nodes import Receiver

_SAFELY = 0.999  # of the threshold: the rest is for rounding in the bounds


class Trials:
    """A circuit on trial: one incremental executor per batch of prompts, and one mean metric over all of them.

    Starts as the whole model, or from `kept` [receiver, sender] with the last `decided` receivers decided. Candidates
    of a receiver run together as long as they fit into `max_bytes`; where memory runs out nevertheless, half as many.
    """

    def __init__(
        self,
        problem: Problem,
        max_bytes: int,
        kept: Bool[Tensor, "receiver sender"] | None = None,
        decided: int = 0,
    ) -> None:
        self._problem = problem
        self._max_bytes = max_bytes
        self._executors: list[IncrementalExecutor] = []
        self._targets = []
        for batch in problem.batches:
            columns, targets = batch.columns(problem.metric)
            self._executors.append(IncrementalExecutor(batch.runs, columns, kept, decided))
            self._targets.append(targets)
        self._residuals: list[Float[Tensor, "trial _ _"]] = []
        self._now: float | None = None
        self._screens = [
            KLScreen(executor, targets)
            for executor, targets in zip(self._executors, self._targets, strict=True)
            if KLScreen.suits(problem)
        ]
        self._anchored = False

    @property
    def kept(self) -> Bool[Tensor, "receiver sender"]:
        """The edges of the circuit of the moment."""
        return self._executors[0].kept

    def begin(self, receiver: Receiver) -> bool:
        """Put a receiver on trial; False if its node reaches nothing, and then its edges are gone."""
        reaching = [executor.begin(receiver) for executor in self._executors]  # each must, whatever the others say
        self._now = None
        self._anchored = False
        return all(reaching)

    @property
    def now(self) -> float:
        """The mean metric of the circuit of the moment."""
        if self._now is None:
            self._now = float(self._mean([executor.logits[None] for executor in self._executors])[0])
        return self._now

    def room(self, receiver: Receiver) -> int:
        """How many candidates of this receiver fit into the memory allowed."""
        return max(1, self._max_bytes // max(executor.bytes_per_trial(receiver) for executor in self._executors))

    def costs(
        self, receiver: Receiver, senders: Sequence[int], *, together: bool = True, enough: float = -math.inf
    ) -> Float[Tensor, " trial"]:
        """By how much the mean metric gets worse with each removal: each on top of those before it, or each alone.

        Of the first few candidates only, where memory does not suffice for all. Where a cost is surely below `enough`,
        an upper bound below it may stand in its place.
        """
        while True:
            try:
                if self._screens and together and enough > 0:
                    return self._screened(receiver, senders, enough)
                return self._costs(receiver, senders, together)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if len(senders) == 1 or not _is_out_of_memory(error):
                    raise
                self._max_bytes //= 2
                senders = senders[: len(senders) // 2]
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

    def accept(self, count: int) -> None:
        """Make the first `count` of the removals last tried together."""
        for executor in self._executors:
            executor.accept(count)
        if count:
            self._now = None
            self._anchored = False

    def _costs(self, receiver: Receiver, senders: Sequence[int], together: bool) -> Float[Tensor, " trial"]:
        values = self._mean(
            [executor.try_removals(receiver, senders, together=together) for executor in self._executors]
        )
        before = torch.full_like(values, self.now)
        if together:
            before[1:] = values[:-1]
        return (before - values) * self._problem.metric.sign

    def _screened(self, receiver: Receiver, senders: Sequence[int], enough: float) -> Float[Tensor, " trial"]:
        """Costs in KL, measured only where their bounds leave open whether they are below `enough`."""
        residuals = [executor.try_residuals(receiver, senders) for executor in self._executors]
        count = len(self._problem.pairs)
        if not self._anchored:
            for screen in self._screens:
                screen.anchor()
            self._anchored = True
        bounds = [screen.bounds(residual) for screen, residual in zip(self._screens, residuals, strict=True)]
        costs = torch.stack(bounds).sum(0) / count
        unsure = (costs >= enough * _SAFELY).nonzero().squeeze(1)
        if len(unsure):
            needed = torch.unique(torch.cat((unsure, (unsure - 1).clamp(min=0))))
            values = torch.full_like(costs, math.nan)
            logits = [executor.unembed(rows[needed]) for executor, rows in zip(self._executors, residuals, strict=True)]
            values[needed] = self._mean(logits)
            before = torch.cat((torch.full_like(values[:1], self.now if unsure[0] == 0 else math.nan), values[:-1]))
            costs[unsure] = (values - before)[unsure]
        return costs

    def _mean(self, logits: list[Float[Tensor, "trial _ _"]]) -> Float[Tensor, " trial"]:
        """The mean metric over all prompts, added up in float64 so that it does not depend on the batches."""
        metric = self._problem.metric
        sums = [
            metric(values, targets).double().sum(-1).cpu()
            for values, targets in zip(logits, self._targets, strict=True)
        ]
        return torch.stack(sums).sum(0) / len(self._problem.pairs)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
