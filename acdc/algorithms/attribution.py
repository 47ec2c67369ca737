"""Score every edge at once from gradients: edge attribution patching and its integrated forms.

All scores are first-order estimates of how much the mean metric would get worse if the edge alone were removed from the
whole model: positive means that the edge helps the behaviour. `ExactPatching` computes the same quantity exactly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import assert_never

from acdc.algorithms.metric_gradient import gradient, require_nonzero
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.batch import Batch
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.problem import Problem

TOLERANCE = 0.25
"""The part of what a metric gains along a path that the gradients at its points may miss."""
_DOUBLED = 16  # how many times as many points as were asked for there are at most
_MINOR = 0.1  # the part of the whole gain below which that of a group is no matter
_TINY = 1e-12


@dataclass(frozen=True)
class Attribution:
    """Edge attribution patching: the gradient at the clean run times what the edge would change.

    The gradient is taken at the clean endpoint, where nothing is removed; so a metric that is stationary there, such as
    KL or L2 to the full model, scores every edge 0 and is refused.

    Source: Nanda 2023 (attribution patching); Syed et al. 2023 (arXiv:2310.10348).
    """

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
        """
        return (yield from by_one_gradient(problem, BackwardRules.GRADIENT))


@dataclass(frozen=True)
class IntegratedGradients:
    """Edge attribution patching with the gradient averaged along a path from the ablated to the clean run.

    The gradient is taken at k/steps of the way for k = 1 ... steps: the clean endpoint is among them, the ablated one
    is not. With `path` "inputs" the embeddings move and everything else follows; with "activations" the senders of one
    layer's attention or MLP move, all upstream of them clean, and only their own edges are scored, which costs about
    as many times more as there are layers.

    Integrated gradients are complete: along the path they add up to what the metric gains on it. Where the sums at the
    points miss more than `tolerance` of that, over all prompts, there are too few points: gradients that are
    0 at all of them, or steep between them, score edges wrongly. The points are then doubled, again and again, up to
    16 times as many. The scored graph says in its provenance how many `steps_taken` there were at most,
    and what part of the gain is `missed`.

    Source: Hanna et al. 2024 (arXiv:2403.17806), section 3; "activations" as in their published code and in MIB
    (Mueller et al. 2025); completeness: Sundararajan et al. 2017 (arXiv:1703.01365), section 3.
    Raises: BadSetting when there is no step.
    """

    path: Literal["inputs", "activations"] = "inputs"
    steps: int = 5
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadSetting(f"integrated gradients over {self.steps} steps are none; wanted at least 1")

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, point of the path by point.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0 everywhere.
        """
        total = _zeros(problem)
        groups, batches = tuple(self._groups(problem)), len(problem.batches)
        work, done, most = batches * len(groups) * self.steps, 0, self.steps
        whole = gained = missed = 0.0
        for group in groups:
            scores, points = _zeros(problem), self.steps
            gain: list[Tensor] = []  # by batch, and what the sums at the points come to so far
            along = [torch.zeros(1, dtype=torch.float64)] * batches
            fractions = [step / points for step in range(1, points + 1)]
            while True:
                number = 0
                for batch in problem.batches:
                    way = _Path(problem, batch, group, group if self.path == "activations" else None)
                    if len(gain) < batches:
                        gain.append(way.gain())
                    for fraction in fractions:
                        here, gains = way.at(fraction)
                        scores, along[number], done = scores + here, along[number] + gains, done + 1
                        yield ScoringStep(done, work)
                    del batch, way  # streamed, only one has room
                    number += 1  # noqa: SIM113  # enumerate would hold on to the batch
                # over all prompts, so that it does not depend on the batches
                size = float(torch.cat(gain).abs().sum())
                gap = float((torch.cat(along) / points - torch.cat(gain)).abs().sum())
                whole = whole or size  # what the metric gains from the first group, on which everything else hangs
                counts = max(size, _MINOR * whole, _TINY)
                if gap <= self.tolerance * counts or points >= _DOUBLED * self.steps:
                    break
                fractions = [(step + 0.5) / points for step in range(points)]  # between those there are
                points, work = 2 * points, work + points * batches
            total += scores / points
            most, gained, missed = max(most, points), gained + counts, missed + gap
        figures = {"steps_taken": most, "missed": missed / gained}
        return replace(score_graph(problem, require_nonzero(problem, total)), provenance=figures)

    def _groups(self, problem: Problem) -> Iterator[range]:
        """The senders that move together, by index."""
        graph = problem.graph
        yield range(1)
        match self.path:
            case "inputs":
                return
            case "activations":
                for layer in graph.layers:
                    nodes = layer.nodes
                    if graph.parallel and layer.mlp is not None:  # both write at once, and neither reads the other
                        yield range(layer.heads.start, layer.mlp.senders.stop)
                        nodes = nodes[1:]
                    else:
                        yield layer.heads
                    yield from (node.senders for node in nodes)
            case _:
                assert_never(self.path)


def by_one_gradient(problem: Problem, rules: BackwardRules) -> Generator[ScoringStep, None, Circuit]:
    """The whole graph scored by the gradient at the clean run, taken by these rules; batch of prompts by batch.

    Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
    """
    total = _zeros(problem)
    done = 0
    for batch in problem.batches:
        total += _edge_scores(problem, batch, None, 1, None, rules)[0]
        del batch  # streamed, only one has room
        done += 1  # noqa: SIM113  # enumerate would hold on to the batch
        yield ScoringStep(done, len(problem.batches))
    return score_graph(problem, require_nonzero(problem, total))


def _zeros(problem: Problem) -> Float[Tensor, "receiver sender"]:
    graph = problem.graph
    return torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)


@dataclass(frozen=True)
class _Path:
    """The way of one group of senders from their ablated to their clean outputs, on a batch of prompts.

    `scored` are the senders whose edges get scores (None: all). Numbers are shares of means over the problem's prompts.
    """

    problem: Problem
    batch: Batch
    group: range
    scored: range | None

    @cached_property
    def _moved(self) -> Float[Tensor, "batch pos d_model"]:
        with torch.no_grad():
            return self.batch.runs.delta[self.group.start : self.group.stop].sum(0)

    def _residual(self, fraction: float) -> Float[Tensor, "batch pos d_model"] | None:
        if fraction == 1:
            return None
        with torch.no_grad():
            return self.batch.runs.clean_residual(self.group.stop) - (1 - fraction) * self._moved

    @torch.no_grad()
    def gain(self) -> Float[Tensor, " batch"]:
        """How much better the metric of each prompt is at the clean end than at the ablated one."""
        metric = self.problem.metric
        columns, targets = self.batch.columns(metric)
        runs = self.batch.runs
        if self.group.stop == 1 and self.problem.ablation is Ablation.RESAMPLE:
            start = runs.none(columns)  # from the corrupt embeddings, all of it is the corrupt run
        else:
            start = Linearisation(runs, self._residual(0.0), self.group.stop, columns=columns).logits
        ends = metric(self.batch.targets.reference, self.batch.targets), metric(start, targets)
        clean, ablated = (end.double().cpu() for end in ends)
        return metric.sign * (clean - ablated) / len(self.problem.pairs)

    def at(self, fraction: float) -> tuple[Float[Tensor, "receiver sender"], Float[Tensor, " batch"]]:
        """The scores of the edges by the gradient at a point, and by how much it says the metric gains on the way."""
        scores, slope = _edge_scores(self.problem, self.batch, self._residual(fraction), self.group.stop, self.scored)
        if slope is None:
            return scores, torch.zeros(len(self.batch.prompts), dtype=torch.float64)
        gains = self.batch.runs.positions.by_prompt((slope * self._moved).sum(-1, dtype=torch.float64))
        return scores, self.problem.metric.sign * gains.cpu()


def _edge_scores(
    problem: Problem,
    batch: Batch,
    residual: Float[Tensor, "_ pos d_model"] | None,
    read: int,
    senders: range | None,
    rules: BackwardRules = BackwardRules.GRADIENT,
) -> tuple[Float[Tensor, "receiver sender"], Float[Tensor, "batch pos d_model"] | None]:
    """One batch's share of the scores, from the gradient of one run: from `residual`, or the clean one (None).

    And the metric's gradient at that residual; None where a metric has no gradient, at the clean run, and must not be
    asked for one: that of a distance is noise there.
    """
    if residual is None and problem.metric.stationary:
        return _zeros(problem), None
    columns, targets = batch.columns(problem.metric)
    with torch.no_grad():
        run = Linearisation(batch.runs, residual, read, columns=columns, rules=rules)
        slope = gradient(problem.metric, run.logits, targets) / len(problem.pairs)
        scores = problem.metric.sign * run.edge_scores(slope, senders).double().cpu()
        return scores, run.at_start
