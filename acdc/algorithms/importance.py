"""Score every node by one gradient, and every edge by the nodes it joins: head importance."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.metric_gradient import gradient, require_nonzero
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.nodes import LOGITS
from acdc.problem import Problem


@dataclass(frozen=True)
class HeadImportance:
    """Head importance (HISP) for every node: the mean over prompts of how much ablating it would change the metric.

    To first order and whatever the direction: |gradient at what the node writes . (clean - ablated output)|, added up
    over positions inside the bars, with the gradient at the clean run. Under zero ablation it is the original's score;
    nothing is normalised by layer. An edge scores the lower of the nodes it joins, the logits being above all, so that
    a threshold keeps just the edges between nodes that it keeps; what is split and reads as a whole is ablated as a
    whole where an edge ends in it. Never negative: it does not tell help from harm.

    Source: Michel et al. 2019 (arXiv:1905.10650), section 4.1; with corrupt activations, and for all nodes, Conmy et
    al. 2023 (arXiv:2304.14997), section 3 and appendix.
    """

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, batch of prompts by batch.

        Raises: BadSetting when the metric has no gradient; UnmeasurableBehaviour when its gradient is 0.
        """
        graph = problem.graph
        together = list(dict.fromkeys(graph.run_as.values()))
        belongs = torch.tensor([[graph.run_as[sender] == node for sender in graph.senders] for node in together])
        total = torch.zeros(len(graph.senders) + len(together), dtype=torch.float64)
        done = 0
        for batch in problem.batches:
            columns, targets = batch.columns(problem.metric)
            with torch.no_grad():
                run = Linearisation(batch.runs, columns=columns)
                slope = gradient(problem.metric, run.logits, targets)
                if not problem.metric.stationary:  # else the gradient is rounding noise
                    each = run.sender_scores(slope).double().cpu()
                    total += torch.cat((each, belongs.double() @ each)).abs().sum(1) / len(problem.pairs)
            del batch, run  # streamed, only one has room
            done += 1  # noqa: SIM113  # enumerate would hold on to the batch
            yield ScoringStep(done, len(problem.batches))
        of_senders = require_nonzero(problem, total)[: len(graph.senders)]
        wholes = dict(zip(together, total[len(graph.senders) :].tolist(), strict=True)) | {LOGITS: math.inf}
        of_ends = [wholes[graph.run_as.get(end.node, end.node)] for end in graph.receivers]
        ends = torch.tensor(of_ends, dtype=torch.float64)
        return score_graph(problem, torch.minimum(ends[:, None], of_senders))
