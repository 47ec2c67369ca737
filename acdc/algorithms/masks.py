"""Learn which edges to keep: a random mask over all edges, trained to be sparse and to keep the behaviour."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.algorithms.metric_gradient import differentiable
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.batch import Batch
from acdc.errors import BadSetting
from acdc.footprint import bytes_per_masked_prompt
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.precision import finite, wide
from acdc.problem import Problem

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
_OPEN = 3.0  # log alpha to begin with: an edge is then kept with a probability of 99%
_WARM_UP = 0.5  # the part of the training over which the sparsity wanted grows


@dataclass(frozen=True)
class LearnedMasks:
    """The learned probability that an edge is kept, a mean over masks trained for several sparsities.

    Every edge carries a random part of what it would in the whole model: a hard-concrete number, which is exactly 0 or
    1 with positive probability. Its parameters descend on the metric lost, as a fraction of what ablating everything
    loses, plus a Lagrangian that holds the expected part of edges that are 0 at a wanted one: a(t - s) + b(t - s)^2,
    where a and b ascend and t grows from 0 over the first half of the training. All `sparsities` train together in one
    batch, each step on the next `prompts` prompts. Scores lie between 0 and 1, and do not tell how much an edge is
    worth; a step takes about as much memory as `bytes_per_step` says, and fewer prompts where that is more than
    `max_bytes`.

    Source: Louizos et al. 2018 (arXiv:1712.01312), equations 10 to 12; Cao et al. 2021 (arXiv:2104.03514); Bhaskar et
    al. 2024 (arXiv:2406.16778), section 3, with their limits and temperature, and the problem's metric for their KL.
    Raises: BadSetting when a setting is outside its range.
    """

    sparsities: tuple[float, ...] = (0.8, 0.95, 0.98)
    steps: int = 300
    rate: float = 0.1
    prompts: int = 16
    seed: int = 0
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if not self.sparsities or not all(0 < sparsity < 1 for sparsity in self.sparsities):
            raise BadSetting(f"masks cannot be learned for sparsities {self.sparsities}; wanted some between 0 and 1")
        if min(self.steps, self.prompts) < 1 or not 0 < self.rate < math.inf:
            raise BadSetting(
                f"{self.steps} steps of {self.prompts} prompts at rate {self.rate} train nothing; wanted positive ones"
            )

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, training step by step.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour.
        """
        device = problem.model.device
        differentiable(problem.metric)
        full, none = problem.bounds
        small = replace(problem, batching=replace(problem.batching, prompts=self._prompts_per_step(problem)))
        graph = problem.graph
        indices = torch.tensor(list(graph.edge_indices.values()), device=device).T
        log_alpha = torch.full((len(self.sparsities), graph.n_edges), _OPEN, device=device, requires_grad=True)
        price = torch.zeros(2, len(self.sparsities), device=device, requires_grad=True)
        descent = torch.optim.Adam([log_alpha], lr=self.rate)
        ascent = torch.optim.Adam([price], lr=self.rate, maximize=True)
        generator = torch.Generator().manual_seed(self.seed)
        wanted = torch.tensor(self.sparsities, device=device)
        done = 0
        while done < self.steps:
            for batch in small.batches:
                share = len(batch.prompts.prompts) * len(small.batches) / len(problem.pairs)
                with torch.enable_grad():
                    noise = torch.rand(log_alpha.shape, generator=generator).to(device)
                    value = _mean_metric(problem, batch, _laid_out(problem, indices, sampled(log_alpha, noise)))
                    lost = share * (full - value) / (full - none)
                    target = wanted * min(1.0, done / (_WARM_UP * self.steps))
                    short = target - (1 - kept(log_alpha).mean(-1))
                    loss = (lost + price[0] * short + price[1] * short.square()).sum()
                slopes = torch.autograd.grad(finite(loss, f"the loss of masks at step {done + 1}"), (log_alpha, price))
                log_alpha.grad, price.grad = (finite(slope, "the gradient at masks") for slope in slopes)
                descent.step()
                ascent.step()
                done += 1
                yield ScoringStep(done, self.steps)
                if done == self.steps:
                    break
        scores = _laid_out(problem, indices, kept(log_alpha.detach().double()).mean(0, keepdim=True))
        return score_graph(problem, scores[0].cpu())

    def bytes_per_step(self, problem: Problem) -> int:
        """About how much memory a training step takes: all that its gradient needs."""
        return self._prompts_per_step(problem) * self._bytes_per_prompt(problem)

    def _prompts_per_step(self, problem: Problem) -> int:
        return max(1, min(self.prompts, self.max_bytes // self._bytes_per_prompt(problem)))

    def _bytes_per_prompt(self, problem: Problem) -> int:
        longest = max(pair.length * len(pair.scored) for pair in problem.pairs.pairs)
        itemsize = torch.finfo(problem.model.dtype).bits // 8
        return bytes_per_masked_prompt(problem.graph, len(self.sparsities), longest, itemsize)


def sampled(log_alpha: Float[Tensor, "*mask edge"], noise: Float[Tensor, "*mask edge"]) -> Float[Tensor, "*mask edge"]:
    """Hard-concrete numbers, from noise drawn evenly from 0 to 1 (Louizos et al. 2018, equations 10 and 11)."""
    drawn = torch.sigmoid((torch.logit(noise, eps=1e-6) + log_alpha) / TEMPERATURE)
    return (drawn * (HIGH - LOW) + LOW).clamp(0, 1)


def kept(log_alpha: Float[Tensor, "*mask edge"]) -> Float[Tensor, "*mask edge"]:
    """The probability that such a number is not 0 (Louizos et al. 2018, equation 12)."""
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-LOW / HIGH))


def _laid_out(
    problem: Problem, indices: Int[Tensor, "2 edge"], values: Float[Tensor, "mask edge"]
) -> Float[Tensor, "mask receiver sender"]:
    """What is listed by edge as the executor wants it."""
    laid = values.new_zeros(len(values), len(problem.graph.receivers), len(problem.graph.senders))
    return laid.index_put((torch.arange(len(values), device=values.device)[:, None], *indices[:, None]), values)


def _mean_metric(
    problem: Problem, batch: Batch, masks: Float[Tensor, "mask receiver sender"]
) -> Float[Tensor, " mask"]:
    columns, targets = batch.columns(problem.metric)
    logits = wide(Executor.of(batch.runs).run_masks(masks, columns=columns))
    return problem.metric(logits, targets).sum(-1) / len(batch.prompts.prompts)
