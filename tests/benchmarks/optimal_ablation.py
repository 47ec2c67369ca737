"""Would learned constants be the better stand-ins for missing edges? Optimal beside resample and mean ablation, by KL.

Run as `python -m tests.benchmarks.optimal_ablation TASK MODEL METHOD [LEARNED_ON [PROMPTS]]`. One constant per sender,
the same for all prompts, positions and circuits, starts at the mean and descends on the KL of the circuit without edges
and of a random one, on `LEARNED_ON` prompts none of which is judged by. Then the method looks for 90% of the behaviour
and for a KL of a tenth of what mean ablation of everything costs.

Source: Li and Janson 2024 (arXiv:2409.09951), who learn constants anew for every circuit that they judge; here all
circuits share them, so that nothing is fitted to the one that is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from acdc import tasks
from acdc.batch import Batch
from acdc.discovery.search import search
from acdc.drain import drain
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import AblatedRun, Runs, residuals_of
from acdc.judges.faithfulness import faithfulness
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import KeptFaithfulness, MeanKL, Method, Setup
from acdc.tasks.metrics import KLDivergence

_STEPS, _RATE, _DECAYS, _PER_STEP = 200, 0.03, (0.9, 0.99), 8
Constants = Float[Tensor, "sender 1 1 d_model"]


def carrying(runs: Runs, constants: Constants) -> Runs:
    """The runs of the same prompts whose missing edges carry these constants."""
    clean = runs.delta + runs.ablated.outputs
    ablated = AblatedRun(constants, residuals_of(runs.model, constants, clean.shape[1:]))
    return replace(runs, delta=clean - constants, ablated=ablated)


def learned(problem: Problem, seed: int = 0) -> Constants:
    """The constants learned on a problem's prompts, of mean ablation and measured by KL."""
    start, graph = problem.means, problem.graph
    assert start is not None
    batches = tuple(problem.batches)
    scale = torch.stack([batch.runs.delta.flatten(1).square().mean(1) for batch in batches]).mean(0).sqrt()
    scale = scale[:, None, None, None]  # a step is as large, beside what a sender writes, for all senders
    moved = torch.zeros_like(start, requires_grad=True)
    descent = torch.optim.Adam([moved], lr=_RATE, betas=_DECAYS)
    generator, parts = torch.Generator().manual_seed(seed), _parts(batches)
    for step in range(_STEPS):
        descent.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
        batch, share = next(parts), torch.rand(1, generator=generator)
        masks = torch.rand(2, len(graph.receivers), len(graph.senders), generator=generator) < share
        masks[0] = False
        with torch.enable_grad():
            runs = carrying(batch.runs, start + scale * moved)
            logits = Executor.of(runs).run_masks(masks.to(start.dtype))
            lost = torch.stack([KLDivergence()(each, batch.targets).sum() for each in logits]).mean()
        (moved.grad,) = torch.autograd.grad(lost / len(batch.prompts.prompts), moved)
        descent.step()
    return (start + scale * moved).detach()


def _parts(batches: tuple[Batch, ...]) -> Iterator[Batch]:
    while True:
        for batch in batches:
            yield from batch.parts(_PER_STEP)


def under(problem: Problem, constants: Constants) -> Problem:
    """The problem whose missing edges carry these constants: mean ablation with other means."""
    other = replace(problem, ablation=Ablation.MEAN)
    other.__dict__["means"] = constants
    return other


def main(task: str, model: str, method: str, learned_on: str = "512", prompts: str = "32") -> None:
    """Print the KL without any edge, and for each goal the circuit that is found, by ablation."""
    behaviour, setup = tasks.get(task), Setup("kl", "mean", prompts=int(prompts))
    loaded = load_named(model, setup)
    discovery, judgement = problems(behaviour, loaded, setup)
    judged = {pair.clean for pair in judgement.pairs.pairs}
    more = problems(behaviour, loaded, replace(setup, prompts=int(learned_on), seed=1))[0]
    unseen = [number for number, pair in enumerate(more.pairs.pairs) if pair.clean not in judged]
    constants = learned(replace(more, pairs=more.pairs.select(unseen)))
    kinds = {
        "resample": problems(behaviour, loaded, replace(setup, ablation="resample")),
        "mean": (discovery, discovery.on(judgement.pairs)),
        "optimal": (under(discovery, constants), under(judgement, constants)),
    }
    for name, posed in kinds.items():
        found_on, others = (float(each.measure([Circuit.empty(loaded.graph)]).mean()) for each in posed)
        print(f"{name}: no edge has a KL of {found_on:.2f} nats, of {others:.2f} on prompts to judge by")
    for goal in (KeptFaithfulness(0.9), MeanKL(0.1 * discovery.bounds[1])):
        for name, posed in kinds.items():
            circuit, summary = drain(search(Method(method), goal).walk(posed[0]))
            kept = faithfulness(posed[1], circuit)
            print(
                f"{name}: of {len(circuit):,} edges is what {goal}: {summary.chosen.faithfulness:.1%}, KL "
                f"{summary.chosen.kl:.2f}; judged {kept.normalised.value:.1%}, KL {kept.kl.circuit:.2f}, right on "
                f"{kept.accuracy.circuit:.0%}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
