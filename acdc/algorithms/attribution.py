"""Score every edge at once from gradients: edge attribution patching and its integrated forms.

All scores are first-order estimates of how much the mean metric would get worse if the edge alone were removed from the
whole model: positive means that the edge helps the behaviour. `ExactPatching` computes the same quantity exactly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import assert_never

from acdc.algorithms.scores import Scored, score_graph
from acdc.algorithms.slopes import gradient, somewhere
from acdc.errors import BadSetting
from acdc.problem import Batch, Problem
from graphs.circuit import Circuit
from graphs.gradients import Linearisation


@dataclass(frozen=True)
class Attribution:
    """Edge attribution patching: the gradient at the clean run times what the edge would change.

    The gradient is taken at the clean endpoint, where nothing is removed; so a metric that is stationary there, such as
    KL or L2 to the full model, scores every edge 0 and is refused.

    Source: Nanda 2023 (attribution patching); Syed et al. 2023 (arXiv:2310.10348).
    """

    def walk(self, problem: Problem) -> Generator[Scored, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
        """
        total = _zeros(problem)
        for done, batch in enumerate(problem.batches, start=1):
            total += _edge_scores(problem, batch, None, 1, None)
            yield Scored(done, len(problem.batches))
        return score_graph(problem, somewhere(problem, total))


@dataclass(frozen=True)
class IntegratedGradients:
    """Edge attribution patching with the gradient averaged along a path from the ablated to the clean run.

    The gradient is taken at k/steps of the way for k = 1 ... steps: the clean endpoint is among them, the ablated one
    is not. With `path` "inputs" the embeddings move and everything else follows; with "activations" the senders of one
    layer's attention or MLP move, all upstream of them clean, and only their own edges are scored, which costs about
    as many times more as there are layers.

    Source: Hanna et al. 2024 (arXiv:2403.17806), section 3; "activations" as in their published code and in MIB
    (Mueller et al. 2025).
    Raises: BadSetting when there is no step.
    """

    path: Literal["inputs", "activations"] = "inputs"
    steps: int = 5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadSetting(f"integrated gradients over {self.steps} steps are none; wanted at least 1")

    def walk(self, problem: Problem) -> Generator[Scored, None, Circuit]:
        """The whole graph with a score for every edge, point of the path by point.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0 everywhere.
        """
        total = _zeros(problem)
        groups = tuple(self._groups(problem))
        work = len(problem.batches) * len(groups) * self.steps
        done = 0
        for batch in problem.batches:
            for group in groups:
                with torch.no_grad():
                    moved = batch.runs.delta[group.start : group.stop].sum(0)
                    clean = batch.runs.clean_residual(group.stop)
                for step in range(1, self.steps + 1):
                    residual = clean - (1 - step / self.steps) * moved if step < self.steps else None
                    scored = group if self.path == "activations" else None
                    total += _edge_scores(problem, batch, residual, group.stop, scored) / self.steps
                    done += 1
                    yield Scored(done, work)
        return score_graph(problem, somewhere(problem, total))

    def _groups(self, problem: Problem) -> Iterator[range]:
        """The senders that move together, by index."""
        graph = problem.graph
        yield range(1)
        match self.path:
            case "inputs":
                return
            case "activations":
                for layer in range(graph.n_layers):
                    heads = 1 + layer * (graph.n_heads + graph.has_mlp)
                    mlp = heads + graph.n_heads
                    if graph.parallel:  # both write at once, and neither reads the other
                        yield range(heads, mlp + 1)
                        continue
                    yield range(heads, mlp)
                    if graph.has_mlp:
                        yield range(mlp, mlp + 1)
            case _:
                assert_never(self.path)


def _zeros(problem: Problem) -> Float[Tensor, "receiver sender"]:
    graph = problem.graph
    return torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)


def _edge_scores(
    problem: Problem,
    batch: Batch,
    residual: Float[Tensor, "batch pos d_model"] | None,
    read: int,
    senders: range | None,
) -> Float[Tensor, "receiver sender"]:
    """One batch's share of the scores, from the gradient of one run: from `residual`, or the clean one (None).

    Where a metric has no gradient, at the clean run, it must not be asked for one: that of a distance is noise there.
    """
    if residual is None and problem.metric.stationary:
        return _zeros(problem)
    columns, targets = batch.columns(problem.metric)
    with torch.no_grad():
        run = Linearisation(batch.runs, residual, read, columns=columns)
        slope = gradient(problem.metric, run.logits, targets) / len(problem.pairs)
        return problem.metric.sign * run.edge_scores(slope, senders).double().cpu()
