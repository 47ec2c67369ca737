"""What each candidate removal costs, measured over all of a problem's prompts, and making it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.algorithms.kl_bounds import Anchor, KLScreen, ResidualPath
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.nodes import Receiver
from acdc.precision import finite_metric
from acdc.problem import Problem

_CACHE = 1 << 23
_MOST, _MOST_HERE = 256, 64
"""How many candidates run together at most, on a GPU and on a CPU."""
_NEAR = 4.0  # so many times what is allowed, a bound from a nearer anchor may be below it


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
        self._now: float | None = None
        self._here = problem.model.device.type != "cuda"
        self._screens = [
            KLScreen(problem.model.unembedding, targets) for targets in self._targets if KLScreen.suits(problem)
        ]
        self._has_rough = bool(self._screens) and all(screen.has_rough for screen in self._screens)
        self._anchors: list[Anchor] = []
        self._values: Float[Tensor, " trial"] | None = None  # of the metric in the last trials; nan where not measured

    @property
    def kept(self) -> Bool[Tensor, "receiver sender"]:
        """The edges of the circuit of the moment."""
        return self._executors[0].kept

    def begin(self, receiver: Receiver) -> bool:
        """Put a receiver on trial; False if its node reaches nothing, and then its edges are gone."""
        reaching = [executor.begin(receiver) for executor in self._executors]  # each must, whatever the others say
        self._now = None
        return all(reaching)

    @property
    def now(self) -> float:
        """The mean metric of the circuit of the moment."""
        if self._now is None:
            self._now = float(self._mean([executor.logits[None] for executor in self._executors])[0])
        return self._now

    def room(self, receiver: Receiver, *, together: bool = False) -> int:
        """How many candidates of this receiver fit into the memory allowed, each alone or together."""
        return max(1, self._max_bytes // self._bytes(receiver, together))

    def _bytes(self, receiver: Receiver, together: bool) -> int:
        unembedded = not (together and self._screens)
        return max(executor.bytes_per_trial(receiver, unembedded=unembedded) for executor in self._executors)

    def worthwhile(self, receiver: Receiver) -> int:
        """How many candidates of this receiver are decided together faster than in two goes, if they fit.

        What is decided by bounds reads the unembedding once for all of them.
        """
        most = _MOST_HERE if self._screens and self._here else self._at_once(receiver)
        return min(most, self.room(receiver, together=True))

    def _at_once(self, receiver: Receiver) -> int:
        """How many candidates of this receiver run together faster than in two goes.

        On a CPU as long as what they read stays in the cache; a GPU waits for whoever starts its kernels.
        """
        if not self._here:
            return _MOST
        one = max(executor.bytes_read(receiver) for executor in self._executors)
        return min(_MOST_HERE, max(16, _CACHE // one))

    def costs(
        self, receiver: Receiver, senders: Sequence[int], *, together: bool = True, enough: float = -math.inf
    ) -> Float[Tensor, " trial"]:
        """By how much the mean metric gets worse with each removal: each on top of those before it, or each alone.

        Of the first few candidates only, where memory does not suffice for all. Where a cost is surely below `enough`,
        an upper bound below it may stand in its place; after the first that is not, infinity.
        """
        self._values = None
        while True:
            try:
                if self._screens and together and enough > 0:
                    return self._screened(receiver, senders, enough)
                return self._costs(receiver, senders, together)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if len(senders) == 1 or not _is_out_of_memory(error):
                    raise
                senders = senders[: len(senders) // 2]
                self._max_bytes = min(self._max_bytes // 2, len(senders) * self._bytes(receiver, together))
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

    def cost_of_removing(self, receiver: Receiver, senders: Sequence[int]) -> float:
        """By how much the mean metric gets worse when all of these edges go at once; `accept(1)` makes it so."""
        gone, kept = set(senders), self.kept[self.receiver_index(receiver)].nonzero().squeeze(1).tolist()
        staying = [sender for sender in kept if sender not in gone]
        logits = [executor.unembed(executor.try_keeping(receiver, staying)) for executor in self._executors]
        self._values = self._mean(logits)
        return (self.now - float(self._values[0])) * self._problem.metric.sign

    def receiver_index(self, receiver: Receiver) -> int:
        """Which row of `kept` is a receiver's."""
        return self._problem.graph.receiver_index[receiver]

    def accept(self, count: int) -> None:
        """Make the first `count` of the removals last tried together."""
        for executor in self._executors:
            executor.accept(count)
        if count:
            value = math.nan if self._values is None else float(self._values[count - 1])
            self._now = None if math.isnan(value) else value

    def _costs(self, receiver: Receiver, senders: Sequence[int], together: bool) -> Float[Tensor, " trial"]:
        values = self._mean(
            [executor.try_removals(receiver, senders, together=together) for executor in self._executors]
        )
        before = torch.full_like(values, self.now)
        if together:
            before[1:] = values[:-1]
        return (before - values) * self._problem.metric.sign

    def _screened(self, receiver: Receiver, senders: Sequence[int], enough: float) -> Float[Tensor, " trial"]:
        """Costs in KL, measured only where their bounds leave open whether they are below `enough`.

        Where a bound is not far above that, an anchor at the state before is tried first.
        """
        at_once = self._at_once(receiver)
        states = [
            torch.cat((executor.residual[None], executor.try_residuals(receiver, senders, at_once=at_once)))
            for executor in self._executors
        ]
        values = torch.full((len(senders) + 1,), math.nan, dtype=torch.float64)
        self._values = values[1:]
        costs = torch.full_like(self._values, math.inf)
        anchored, paths, roughly = None, self._paths(states) if self._anchors else [], False  # at which of the states
        if paths:
            costs, roughly = self._bounds(paths), self._has_rough
        while len(unsure := (~(costs < enough)).nonzero()):  # a bound that is not a number decides nothing
            row, first = int(unsure[0]), anchored or 0
            if roughly:
                finer = self._bounds(paths, ~(costs[first:] < enough))
                costs[first:], roughly = torch.fmin(costs[first:], finer), False
                continue
            near = anchored != row and costs[row] < _NEAR * enough
            anchored = row if near else row + 1
            needed = [number for number in sorted({row, anchored}) if values[number].isnan()]
            values[needed] = self._anchor(states, needed)
            if not near:
                costs[row] = values[row + 1] - values[row]
                if not costs[row] < enough:
                    costs[row + 1 :] = math.inf
                    break
            if anchored < len(costs):
                paths, roughly = self._paths([state[anchored:] for state in states]), self._has_rough
                costs[anchored:] = torch.fmin(costs[anchored:], self._bounds(paths))
        return costs

    def _anchor(
        self, states: list[Float[Tensor, "state _ d_model"]], numbers: Sequence[int]
    ) -> Float[Tensor, " measured"]:
        """Measure states, the first of all being the circuit of the moment, and anchor the bounds at the last one."""
        parts = zip(self._executors, states, strict=True)
        if list(numbers) == [0]:
            logits = [executor.logits[None] for executor in self._executors]
        else:
            logits = [executor.unembed(state[list(numbers)]) for executor, state in parts]
        self._anchors = [
            screen.anchor(state[numbers[-1]], here[-1])
            for screen, state, here in zip(self._screens, states, logits, strict=True)
        ]
        return self._mean(logits)

    def _paths(self, states: list[Float[Tensor, "state _ d_model"]]) -> list[ResidualPath]:
        """These states, one after the other, as the anchors see them."""
        parts = zip(self._screens, self._anchors, states, strict=True)
        return [screen.path(anchor, state[0], state[1:]) for screen, anchor, state in parts]

    def _bounds(
        self, paths: list[ResidualPath], roughly: Bool[Tensor, " step"] | None = None
    ) -> Float[Tensor, " step"]:
        """By how much KL rises at most with each step of these paths; by rough logits with some of them only."""
        parts = zip(self._screens, paths, strict=True)
        bounds = [
            screen.bounds(path) if roughly is None else screen.rough_bounds(path, roughly) for screen, path in parts
        ]
        return torch.stack(bounds).sum(0) / len(self._problem.pairs)

    def _mean(self, logits: list[Float[Tensor, "trial _ _"]]) -> Float[Tensor, " trial"]:
        """The mean metric over all prompts, added up in float64 so that it does not depend on the batches."""
        metric, model = self._problem.metric, self._problem.model
        sums = [
            finite_metric(metric, values, targets, model).double().cpu().sum(-1)
            for values, targets in zip(logits, self._targets, strict=True)
        ]
        return torch.stack(sums).sum(0) / len(self._problem.pairs)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
