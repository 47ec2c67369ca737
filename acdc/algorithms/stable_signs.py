"""Integrated gradients of the edges whose score has the same sign whichever prompts are drawn."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.algorithms.metric_gradient import gradient, require_nonzero
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.batch import Batch
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.gradients import Linearisation
from acdc.problem import Problem


@dataclass(frozen=True)
class StableSigns:
    """Integrated gradients over the inputs, 0 where the sign of an edge's score hangs on which prompts were drawn.

    Prompts are drawn again with replacement, as many as there are, `resamples` times. Where fewer than `share` of the
    resampled scores have the sign of the score of all prompts, the edge scores 0. Scores are sums over prompts, so that
    one scoring gives all resamples. The points of the path stay as many as `steps`.

    Source: Nikankin et al. 2025 (arXiv:2510.25786), bootstrapped edges.
    Raises: BadSetting when there is no step or resample, or the share is not above 0 and at most 1.
    """

    steps: int = 5
    seed: int = 0
    resamples: int = 40
    share: float = 0.95

    def __post_init__(self) -> None:
        if min(self.steps, self.resamples) < 1 or not 0 < self.share <= 1:
            raise BadSetting(
                f"{self.resamples} resamples of {self.steps} steps, of which a share of {self.share} is to agree, say "
                "nothing; wanted at least 1 of each and a share above 0 and at most 1"
            )

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, point of the path by point.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0 everywhere.
        """
        graph, times = problem.graph, self._times(len(problem.pairs))
        total = torch.zeros(len(times), len(graph.receivers), len(graph.senders), dtype=torch.float64)
        done, work = 0, len(problem.batches) * self.steps
        for batch in problem.batches:
            of_rows = times[:, batch.prompts.prompts.cpu()][:, batch.prompts.prompt_numbers.cpu()]
            for step in range(1, self.steps + 1):
                rows = self._rows(problem, batch, step / self.steps)
                if rows is not None:
                    total += torch.einsum("nb,brs->nrs", of_rows, rows.double().cpu()) / self.steps
                done += 1
                yield ScoringStep(done, work)
            batch.release()
            del batch  # streamed, only one has room
        scores, resampled = require_nonzero(problem, total[0]), total[1:]
        stable = (resampled.sign() == scores.sign()).double().mean(0) >= self.share
        about = {"unstable": int((~stable & (scores != 0)).sum())}
        return replace(score_graph(problem, scores * stable), provenance=about)

    def _times(self, prompts: int) -> Float[Tensor, "resample prompt"]:
        """How often each prompt counts: once, and then in each resample."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(prompts, (self.resamples, prompts), generator=generator)
        counts = torch.nn.functional.one_hot(drawn, prompts).sum(1)
        return torch.cat((torch.ones(1, prompts), counts)).double()

    @staticmethod
    @torch.no_grad()
    def _rows(problem: Problem, batch: Batch, fraction: float) -> Float[Tensor, "batch receiver sender"] | None:
        """The scores by the gradient at a point, row by row; None where a metric has none, at the clean run."""
        metric, runs = problem.metric, batch.whole
        if fraction == 1 and metric.stationary:
            return None
        residual = None if fraction == 1 else runs.clean_residual(1) - (1 - fraction) * runs.delta[0]
        columns, targets = batch.columns(metric)
        run = Linearisation(runs, residual, columns=columns)
        slope = gradient(metric, run.logits, targets) / len(problem.pairs)
        return metric.sign * run.row_scores(slope)
