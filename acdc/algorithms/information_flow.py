"""Score every edge by how much of what its receiver reads comes from its sender: information-flow routes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.batch import Batch
from acdc.graphs.circuit import Circuit
from acdc.precision import wide
from acdc.problem import Problem


@dataclass(frozen=True)
class InformationFlow:
    """The share of the sender in the residual stream that the receiver reads, on clean prompts alone.

    The share of x in y = ... + x + ... is its proximity max(|y| - |y - x|, 0), in L1 norms over the residual stream,
    divided by that of all senders; a mean over prompts, and over each prompt's positions up to the scored one (all, in
    a model that is not causal). The logits read at the scored position only. Shares into a receiver add up to 1,
    or to less where biases and cancellation leave nothing that brings the stream nearer.

    Queries, keys and values of a layer read the same stream before its norm, so their shares are the same; unlike the
    original, this does not look into attention for the positions that a head reads from. It needs one run of the model,
    no gradient, no metric and no corrupt prompts: it says what is read, not what matters to the behaviour.

    Source: Ferrando and Voita 2024 (arXiv:2403.00824), section 2; from node to node as in MIB (Mueller et al. 2025).
    """

    @torch.no_grad()
    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch."""
        graph = problem.graph
        scores = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)
        done = 0
        for batch in problem.batches:
            read_up_to = _read(problem, batch)
            for read in sorted({graph.reads(receiver) for receiver in graph.receivers}):
                inside = _scored(batch) if read == len(graph.senders) else read_up_to
                some = slice(graph.since(read), read)
                mean = (_shares(batch, some) * inside).sum(-1) / inside.sum(-1)
                rows = [row for row, receiver in enumerate(graph.receivers) if graph.reads(receiver) == read]
                shares = 1.0 if batch.targets.shares is None else batch.targets.shares
                scores[rows, some] += (mean.double() * shares).sum(-1).cpu() / len(problem.pairs)
            batch.release()
            del batch  # streamed, only one has room
            done += 1  # noqa: SIM113  # enumerate would hold on to the batch
            yield ScoringStep(done, len(problem.batches))
        return score_graph(problem, scores)


def _shares(batch: Batch, senders: slice) -> Float[Tensor, "sender batch pos"]:
    """The share of each of these senders, all that are read somewhere, in what they add up to, at every position."""
    runs = batch.whole
    stream = wide(runs.clean_residual(senders.stop))  # the sums of half a model's width overflow float16
    size = stream.abs().sum(-1)
    wrote = (
        wide(delta) + wide(ablated)
        for delta, ablated in zip(runs.delta[senders], runs.ablated.outputs[senders], strict=True)
    )
    near = torch.stack([(size - (stream - x).abs().sum(-1)).clamp(min=0) for x in wrote])
    return near / near.sum(0).clamp(min=torch.finfo(near.dtype).tiny)


def _scored(batch: Batch) -> Bool[Tensor, "batch pos"]:
    """Where the logits are read."""
    positions = torch.arange(batch.runs.length, device=batch.runs.scored_positions.device)
    return positions == batch.runs.scored_positions[:, None]


def _read(problem: Problem, batch: Batch) -> Bool[Tensor, "batch pos"]:
    """Where anything is that the logits can read."""
    positions = torch.arange(batch.runs.length, device=batch.runs.scored_positions.device)
    return (positions <= batch.runs.scored_positions[:, None]) | (not problem.model.is_causal)
