"""Learn which edges a circuit keeps: a mask for every edge that could matter, under a price for each that rises.

Attribution names the edges that could matter, masks of these descend on what the circuit loses, and the price of an
edge rises until hardly one is worth it. So one training gives circuits of all sizes: the score of an edge is the price
at which it was closed, or that of another edge where it is known better which of both is worth more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.closing_order import AGAIN, eliminated, highest, of_another_training, told
from acdc.algorithms.elimination import ROUNDS, Elimination
from acdc.algorithms.metric_gradient import differentiable, gradient
from acdc.algorithms.prices import Prices
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
_OPEN = 2.0  # log alpha to begin with: an edge is then kept with a probability of 97%
_RATE, _STEPS = 0.15, 280  # how far Adam goes at each of so many steps; where there are fewer, a little further
_LEAST = 60  # steps that there are however short the time is: fewer learn nothing
_DECAYS = 0.9, 0.95  # of Adam's means (Kingma and Ba 2015, arXiv:1412.6980)
_FEWEST, _PER_EDGE, _BEYOND, _ENOUGH = 500, 8, 70, 75
"""How short a shortlist is made at most, how many edges are on it for each of the circuit beyond so many, and the steps
that there are at least."""
_ALL_SIZES, _MANY = 4000, 2000
"""The shortlist from which circuits of all sizes are learned, and that of which some are trained again."""
_ONCE, _FIRST = 0.85, 0.75
"""The part of the time that is up when training ends, or the first of two trainings; then come measurements."""
_RANKINGS = 33  # so many times as long as the ranking is about what a training on 4,000 edges takes
_RANKING, _PER_PROMPT, _POINTS = 16, 125, 3
"""Prompts of the integrated gradients that name the edges, one for so many edges and so many at least, and points."""


@dataclass(frozen=True)
class LearnedMasks:
    """For every edge the price, in the metric's units, at which a training closes it.

    The `shortlist` of edges that integrated gradients rank highest carry random parts of what they would in the whole
    model: hard-concrete numbers, which are exactly 0 or 1 with positive probability; all others carry none. At each of
    the steps the next `prompts` prompts are run, and the numbers' parameters descend on the metric lost plus the price
    of every edge times the probability that it is kept. An edge counts as closed from where it is open no more until
    the end. Those that are open at the end are ranked by their parameters above the last price, and those that are not
    on the shortlist by attribution below the first. Of a shortlist of 2,000 or more, the 500 that closed last are
    trained again, for circuits of few edges, and have each other's prices in the order in which they close then, if
    that is measured to keep more (`closing_order.of_another_training`). The 100 highest are dealt out among these anew,
    in the order of `Elimination`. A `shortlist` of 4,000 or more is for circuits of all sizes: then prices begin lower
    (`Prices.from_lower`), and below the quarter that closed last attribution orders the others too, if that is measured
    to keep more (`closing_order.told`). Scores tell the order in which edges are worth their price beside all others
    that are there, not what removing one costs.

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
    prices: Prices = field(default_factory=Prices)
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

    def _again(self, edges: int) -> LearnedMasks | None:
        """The same for those that closed last, of a graph of so many edges; none where few are on the shortlist."""
        return self._on(AGAIN) if min(edges, self.shortlist) >= _MANY else None

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
        whole, again = self._for_all_sizes(problem.graph.n_edges), self._again(problem.graph.n_edges)
        further = whole.prices.steps + (again.prices.steps if again else 0) + ROUNDS
        scored = yield from translated(ranking, lambda step: ScoringStep(step.done, step.total + further))
        ranks = _POINTS * len(few.batches)
        if many:
            few.release()
        effects = {edge: abs(scored.scores[edge]) for edge in scored.ordered()}
        chosen = self._in_time(time.monotonic() - began)
        again = again if chosen.shortlist >= _MANY else None
        chosen = whole if chosen is self else chosen
        edges = Circuit(problem.graph, frozenset(highest(effects, chosen.shortlist))).pruned().ordered()
        with freed_memory_kept():
            closed, to_the_end = yield from translated(
                chosen._learn(problem, edges, effects, began, again),
                lambda step: ScoringStep(ranks + step.done, ranks + step.total),
            )
        first = chosen.prices.first * abs(full - none)
        largest = max(effects.values()) or 1.0
        scores = torch.zeros(len(problem.graph.receivers), len(problem.graph.senders), dtype=torch.float64)
        for edge, number in problem.graph.edge_indices.items():
            scores[number] = first * effects[edge] / largest
        for edge, price in closed.items():
            scores[problem.graph.edge_indices[edge]] = price
        about = {"shortlist": len(edges)} | ({} if to_the_end else {"stopped": "interrupted"})
        return replace(score_graph(problem, scores), provenance=about)

    def _learn(
        self,
        problem: Problem,
        edges: Sequence[Edge],
        effects: Mapping[Edge, float],
        began: float,
        again: LearnedMasks | None,
    ) -> Generator[ScoringStep, None, tuple[dict[Edge, float], bool]]:
        """The prices at which these edges close, some of them trained `again`, put in order, and whether that went on
        to the end: after the first step an interrupt leaves what there is.
        """
        steps, further = self.prices.steps, again.prices.steps if again else 0
        total = steps + further + ROUNDS
        training = self._train(problem, edges, began, _FIRST if again else _ONCE)
        closed, whole = yield from translated(training, lambda step: ScoringStep(step.done, total))
        if not whole:
            return closed, False
        try:
            if again and time.monotonic() - began < _ONCE * self.seconds:
                training = again._train(problem, highest(closed, AGAIN), began, _ONCE)
                anew, whole = yield from translated(training, lambda step: ScoringStep(steps + step.done, total))
                if not whole:
                    return closed, False
                closed = of_another_training(problem, closed, anew)
            elimination = Elimination(
                self.bytes_per_step(problem), max(1e-3, self.seconds - (time.monotonic() - began))
            )
            closed = yield from translated(
                eliminated(problem, closed, effects, elimination),
                lambda step: ScoringStep(steps + further + step.done, total),
            )
            return told(problem, closed, effects) if self.shortlist >= _ALL_SIZES else closed, True
        except KeyboardInterrupt:
            return closed, False

    def _train(
        self, problem: Problem, edges: Sequence[Edge], began: float, until: float
    ) -> Generator[ScoringStep, None, tuple[dict[Edge, float], bool]]:
        """The price, in the metric's units, at which each of these edges was closed, and whether training went on to
        the end: an interrupt after its first step ends it there. Of few `seconds` it leaves what comes after the part
        `until`.
        """
        full, none = problem.bounds
        effect = abs(full - none)
        device = problem.model.device
        indices = torch.tensor([problem.graph.edge_indices[edge] for edge in edges], dtype=torch.long, device=device)
        indices = indices.reshape(-1, 2).T
        log_alpha = torch.full((len(edges),), _OPEN, device=device, requires_grad=True)
        descent = torch.optim.Adam([log_alpha], lr=_RATE * (_STEPS / self.prices.steps) ** 0.2, betas=_DECAYS)
        closed = torch.full((len(edges),), self.prices.first * effect, dtype=torch.float64)
        now = log_alpha.detach().double().cpu()
        generator = torch.Generator().manual_seed(self.seed)
        batches, done, steps = self._batches(problem), 0.0, self.prices.steps
        ranked, end, whole = time.monotonic() - began, until * self.seconds, True
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
        return dict(zip(edges, (closed * (1 + now.clamp(min=0))).tolist(), strict=True)), whole

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
