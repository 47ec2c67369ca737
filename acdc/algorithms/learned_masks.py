"""Learn which edges a circuit keeps: a mask for every edge that could matter, under a price for each that rises.

Attribution names the edges that could matter, masks of these descend on what the circuit loses, and the price of an
edge rises until hardly one is worth it. So one training gives circuits of all sizes: the score of an edge is the price
at which it was closed. The last few close nearly at once, as soon as the circuit that they make is not worth the price
of all of them, so that these are ordered by eliminating them one after the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.elimination import ROUNDS, Elimination, kept_by
from acdc.algorithms.metric_gradient import differentiable, gradient
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.batch import Batch
from acdc.drain import translated
from acdc.errors import BadSetting
from acdc.footprint import bytes_per_masked_prompt
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.nodes import Edge
from acdc.precision import finite
from acdc.problem import Problem

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
Part = TypeVar("Part", float, Tensor)
_OPEN = 2.0  # log alpha to begin with: an edge is then kept with a probability of 97%
_RATE, _STEPS = 0.15, 280  # how far Adam goes at each of so many steps; where there are fewer, a little further
_LEAST = 60  # steps that there are however short the time is: fewer learn nothing
_DECAYS = 0.9, 0.95  # of Adam's means (Kingma and Ba 2015, arXiv:1412.6980)
_FEWEST, _PER_EDGE, _BEYOND, _ENOUGH = 500, 8, 70, 75
"""How short a shortlist is made at most, how many edges are on it for each of the circuit beyond so many, and the steps
that there are at least."""
_ALL_SIZES, _FEW, _LOWER = 4000, 400, 10
"""The shortlist from which circuits of all sizes are learned; the edges beyond which the first price is lower for it,
and how many times at most."""
_SURE, _DOUBTED = 1 / 4, 1 / 2
"""The parts of the edges whose order of closing stands, and of those on which attribution's is tried beyond."""
_SMALL, _RANKED = 100, 400
"""So many edges that close last are ordered by elimination, for which so many of each ranking may be taken."""
_TRAINING = 0.85  # the part of the time that ranking and training take; the rest is for the elimination
_RANKINGS = 33  # so many times as long as the ranking is about what a training on 4,000 edges takes
_RANKING, _PER_PROMPT, _POINTS = 16, 125, 3
"""Prompts of the integrated gradients that name the edges, one for so many edges and so many at least, and points."""


@dataclass(frozen=True)
class Prices:
    """What an edge costs at every step of a training, as a part of what ablating everything loses.

    From `first` to `last` the price grows by the same factor at each of the `steps`.

    Raises: BadSetting unless prices are positive and the last is not the lower one, and there is a step.
    """

    steps: int = 280
    first: float = 3e-4
    last: float = 0.05

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadSetting(f"{self.steps} steps train nothing; wanted at least 1")
        if not 0 < self.first <= self.last < math.inf:
            raise BadSetting(f"edges cannot cost {self.first} at first and {self.last} at last; wanted rising prices")

    def from_lower(self, edges: int) -> Prices:
        """The same for so many edges, a tenth at first of what it is for 400 where there are ten times as many.

        It rises as much a step. What all edges cost together begins at about an eighth of the whole effect then, so
        that few close before it is told which of them are worth more.
        """
        lower = min(max(1.0, edges / _FEW), _LOWER)
        rise = math.log(self.last / self.first)
        return Prices(
            round(self.steps * (1 + math.log(lower) / rise)) if rise else self.steps, self.first / lower, self.last
        )

    def at(self, done: Part) -> Part:
        """The price when so many steps are done."""
        price: Part = self.first * (self.last / self.first) ** (done / self.steps)
        return price


@dataclass(frozen=True)
class LearnedMasks:
    """For every edge the price, in the metric's units, at which a training closes it.

    The `shortlist` of edges that integrated gradients rank highest carry random parts of what they would in the whole
    model: hard-concrete numbers, which are exactly 0 or 1 with positive probability; all others carry none. At each of
    the steps the next `prompts` prompts are run, and the numbers' parameters descend on the metric lost plus the price
    of every edge times the probability that it is kept. An edge counts as closed from where it is open no more until
    the end. Those that are open at the end are ranked by their parameters above the last price, and those that are not
    on the shortlist by attribution below the first. The prices of the 100 highest are then dealt out among these anew,
    in the order of `Elimination`. A `shortlist` of 4,000 or more is for circuits of all sizes: then prices begin lower
    (`Prices.from_lower`), and below the quarter of the edges that closed last attribution orders the others too, if
    half of all are measured to keep more that way. Scores tell the order in which edges are worth their price beside
    all others that are there, not what removing one costs.

    Where ranking and training would take longer than `seconds`, the price rises by time, so that there are fewer
    steps, but 60 at least, and the shortlist is shorter, as for `up_to`; an interrupt leaves what is learned by then.
    A step takes about as much memory as `bytes_per_step` says, and fewer prompts where that is more than `max_bytes`.

    Source: Louizos et al. 2018 (arXiv:1712.01312), equations 10 to 12, and Cao et al. 2021 (arXiv:2104.03514) for the
    numbers; Bhaskar et al. 2024 (arXiv:2406.16778), section 3, for masks over edges, with the problem's metric for
    their KL; shortlist, rising price, scores and the order of the highest are ours.
    Raises: BadSetting when a setting is outside its range.
    """

    prompts: int = 4
    seed: int = 0
    max_bytes: int = 1 << 30
    shortlist: int = _ALL_SIZES
    prices: Prices = Prices()
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if min(self.prompts, self.shortlist) < 1 or not self.seconds > 0:
            raise BadSetting(
                f"{self.prompts} prompts a step on {self.shortlist} edges for {self.seconds} seconds train nothing; "
                "wanted positive numbers"
            )

    def up_to(self, edges: int) -> LearnedMasks:
        """The same for circuits of at most so many edges.

        On the shortlist are eight for each beyond 70, 500 at least. The fewer these are, the higher is the first price
        and the fewer are steps: small circuits come out as good, in a part of the time.
        """
        return self._on(max(_FEWEST, _PER_EDGE * (edges - _BEYOND)))

    def _on(self, shortlist: int) -> LearnedMasks:
        if shortlist >= self.shortlist:
            return self
        part, prices = shortlist / self.shortlist, self.prices
        first = min(4 / 3 * prices.first / part, prices.last)
        steps = min(prices.steps, max(_ENOUGH, round(prices.steps * part**0.8)))
        return replace(self, shortlist=shortlist, prices=replace(prices, first=first, steps=steps))

    def _for_all_sizes(self, edges: int) -> LearnedMasks:
        """The same from a lower price, where the shortlist of a graph of so many edges is for circuits of all sizes."""
        listed = min(edges, self.shortlist)
        return self if self.shortlist < _ALL_SIZES else replace(self, prices=self.prices.from_lower(listed))

    def _in_time(self, ranked: float) -> LearnedMasks:
        """The same on as many edges as the time allows that is left after a ranking of so many seconds."""
        if math.isinf(self.seconds):
            return self
        part = max(0.0, self.seconds - ranked) / (_RANKINGS * max(ranked, 1e-3))
        return self._on(max(_FEWEST, int(min(part, 1.0) * self.shortlist)))

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, ranking and training step by step.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour.
        """
        differentiable(problem.metric)
        began = time.monotonic()
        full, none = problem.bounds
        enough = max(_RANKING, self.shortlist // _PER_PROMPT)
        many = len(problem.pairs) > enough
        few = problem.on(problem.pairs.select(range(enough))) if many else problem
        ranking = IntegratedGradients("inputs", _POINTS, math.inf).walk(few)
        whole = self._for_all_sizes(problem.graph.n_edges)
        further = whole.prices.steps + ROUNDS
        scored = yield from translated(ranking, lambda step: ScoringStep(step.done, step.total + further))
        ranks = _POINTS * len(few.batches)
        if many:
            few.release()
        ranked = sorted(scored.ordered(), key=lambda edge: -abs(scored.scores[edge]))
        chosen = self._in_time(time.monotonic() - began)
        chosen = whole if chosen is self else chosen
        edges = Circuit(problem.graph, frozenset(ranked[: chosen.shortlist])).pruned().ordered()
        with freed_memory_kept():
            training = chosen._train(problem, edges, abs(full - none), began)
            steps = translated(training, lambda step: ScoringStep(ranks + step.done, ranks + step.total + ROUNDS))
            prices, to_the_end = yield from steps
            closed = dict(zip(edges, prices.tolist(), strict=True))
            if to_the_end:
                before = ranks + chosen.prices.steps
                ordering = translated(
                    chosen._ordered(problem, closed, scored, began),
                    lambda step: ScoringStep(before + step.done, before + step.total),
                )
                closed, to_the_end = yield from ordering
        first = chosen.prices.first * abs(full - none)
        largest = max(abs(scored.scores[edge]) for edge in ranked) or 1.0
        scores = torch.zeros(len(problem.graph.receivers), len(problem.graph.senders), dtype=torch.float64)
        for edge, number in problem.graph.edge_indices.items():
            scores[number] = first * abs(scored.scores[edge]) / largest
        for edge, price in closed.items():
            scores[problem.graph.edge_indices[edge]] = price
        about = {"shortlist": len(edges)} | ({} if to_the_end else {"stopped": "interrupted"})
        return replace(score_graph(problem, scores), provenance=about)

    def _train(
        self, problem: Problem, edges: Sequence[Edge], effect: float, began: float
    ) -> Generator[ScoringStep, None, tuple[Float[Tensor, " edge"], bool]]:
        """The price, in the metric's units, at which each of these edges was closed, and whether training went on to
        the end: an interrupt after its first step ends it there.
        """
        device = problem.model.device
        indices = torch.tensor([problem.graph.edge_indices[edge] for edge in edges], dtype=torch.long, device=device)
        indices = indices.reshape(-1, 2).T
        log_alpha = torch.full((len(edges),), _OPEN, device=device, requires_grad=True)
        descent = torch.optim.Adam([log_alpha], lr=_RATE * (_STEPS / self.prices.steps) ** 0.2, betas=_DECAYS)
        closed = torch.full((len(edges),), self.prices.first * effect, dtype=torch.float64)
        now = log_alpha.detach().double().cpu()
        generator = torch.Generator().manual_seed(self.seed)
        batches, done, steps = self._batches(problem), 0.0, self.prices.steps
        ranked, end, whole = time.monotonic() - began, _TRAINING * self.seconds, True
        try:
            while done < steps:
                late = (time.monotonic() - began - ranked) / max(end - ranked, 1e-3) * steps
                reached = min(max(done + 1, min(late, done + steps / _LEAST)), steps)
                noise = torch.rand(len(edges), generator=generator).to(device)
                slope = self._slope(problem, next(batches), indices, log_alpha, noise, self.prices.at(reached) * effect)
                log_alpha.grad = finite(slope, f"the gradient at masks at step {reached:.0f}")
                descent.step()
                before, now = now, log_alpha.detach().double().cpu()
                closed[now > 0] = self.prices.at(reached) * effect
                # between two steps it closes where the line through both values crosses 0, so that few edges tie
                closing, part = (before > 0) & (now <= 0), before / (before - now)
                closed[closing] = effect * self.prices.at(done + part[closing] * (reached - done))
                done = reached
                yield ScoringStep(int(done), steps)
        except KeyboardInterrupt:
            if not done:
                raise
            whole = False  # be it at the last step: whoever interrupts wants no elimination either
        finally:
            batches.close()
        return closed * (1 + now.clamp(min=0)), whole

    def _ordered(
        self, problem: Problem, closed: dict[Edge, float], scored: Circuit, began: float
    ) -> Generator[ScoringStep, None, tuple[dict[Edge, float], bool]]:
        """The prices with those of the highest dealt out anew, without those that tell nothing, and whether that went
        on to the end.

        Besides what edges carry, the order in which they closed and that of attribution have their say.
        """
        by_price = sorted(closed, key=closed.__getitem__, reverse=True)
        by_effect = sorted(closed, key=lambda edge: -abs(scored.scores[edge]))
        prices = {edge: closed[edge] for edge in by_price[:_RANKED]}
        effects = {edge: abs(scored.scores[edge]) for edge in by_effect[:_RANKED]}
        left = max(1e-3, self.seconds - (time.monotonic() - began))
        elimination = Elimination(self.bytes_per_step(problem), left)
        try:
            small = Circuit(problem.graph, frozenset(by_price[:_SMALL]))
            order = yield from elimination.walk(problem, small, prices, effects)
        except KeyboardInterrupt:
            return closed, False
        anew = list(dict.fromkeys((*order, *by_price[:_SMALL])))
        # those that came in have room between the prices of the highest, so that none of these falls below others
        highest = [closed[edge] for edge in by_price[:_SMALL]]
        dealt = np.interp(np.linspace(0, 1, len(anew)), np.linspace(0, 1, len(highest)), highest).tolist()
        prices = {**closed, **dict(zip(anew, dealt, strict=True))}
        try:
            return (self._told(problem, prices, scored) if self.shortlist >= _ALL_SIZES else prices), True
        except KeyboardInterrupt:
            return prices, False

    def _told(self, problem: Problem, prices: dict[Edge, float], scored: Circuit) -> dict[Edge, float]:
        """All prices, or those of the edges that closed last if attribution orders the others better."""
        closing = sorted(prices, key=prices.__getitem__, reverse=True)
        effects = sorted(prices, key=lambda edge: -abs(scored.scores[edge]))
        sure, half = closing[: int(_SURE * len(closing))], int(_DOUBTED * len(closing))
        orders = closing, list(dict.fromkeys((*sure, *effects)))
        by_closing, by_effect = kept_by(problem, [Circuit(problem.graph, frozenset(order[:half])) for order in orders])
        return prices if by_closing >= by_effect else {edge: prices[edge] for edge in sure}

    def _batches(self, problem: Problem) -> Generator[Batch, None, None]:
        """The next few prompts of every step, all of them before any again."""
        prompts = self._prompts_per_step(problem)
        while True:
            for batch in problem.batches:
                yield from batch.parts(prompts)
                del batch  # streamed, only one has room

    def _slope(
        self,
        problem: Problem,
        batch: Batch,
        indices: Int[Tensor, "2 edge"],
        log_alpha: Float[Tensor, " edge"],
        noise: Float[Tensor, " edge"],
        price: float,
    ) -> Float[Tensor, " edge"]:
        """The gradient of what is lost and paid at the parameters of the masks, for one draw of them."""
        graph, metric = problem.graph, problem.metric
        columns, targets = batch.columns(metric)
        with torch.enable_grad():
            leaf = log_alpha.detach().requires_grad_()
            drawn, paid = sampled(leaf, noise), price * kept(leaf).sum()
        parts = drawn.new_zeros(len(graph.receivers), len(graph.senders)).index_put(tuple(indices), drawn.detach())
        run = MaskedRun(batch.runs, parts, columns=columns)
        lost = gradient(metric, run.logits, targets) * (-metric.sign / len(batch.prompts.prompts))
        at_drawn = run.edge_gradient(lost)[tuple(indices)]
        (slope,) = torch.autograd.grad((drawn * at_drawn).sum() + paid, leaf)
        return slope

    def bytes_per_step(self, problem: Problem) -> int:
        """About how much memory a training step takes: all that its gradient needs."""
        return self._prompts_per_step(problem) * self._bytes_per_prompt(problem)

    def _prompts_per_step(self, problem: Problem) -> int:
        return max(1, min(self.prompts, self.max_bytes // self._bytes_per_prompt(problem)))

    def _bytes_per_prompt(self, problem: Problem) -> int:
        longest = max(pair.length * len(pair.scored) for pair in problem.pairs.pairs)
        itemsize = torch.finfo(problem.model.dtype).bits // 8
        return bytes_per_masked_prompt(problem.graph, longest, itemsize)


def sampled(log_alpha: Float[Tensor, "*mask edge"], noise: Float[Tensor, "*mask edge"]) -> Float[Tensor, "*mask edge"]:
    """Hard-concrete numbers, from noise drawn evenly from 0 to 1 (Louizos et al. 2018, equations 10 and 11)."""
    drawn = torch.sigmoid((torch.logit(noise, eps=1e-6) + log_alpha) / TEMPERATURE)
    return (drawn * (HIGH - LOW) + LOW).clamp(0, 1)


def kept(log_alpha: Float[Tensor, "*mask edge"]) -> Float[Tensor, "*mask edge"]:
    """The probability that such a number is not 0 (Louizos et al. 2018, equation 12)."""
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-LOW / HIGH))
