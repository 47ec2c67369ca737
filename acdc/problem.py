"""A problem: one model, some prompts and a metric, ready to measure any circuit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.errors import UnmeasurableBehaviour
from graphs.ablation import Ablation
from graphs.circuit import Circuit
from graphs.computation import ComputationalGraph
from graphs.executor import Executor
from graphs.model import Model
from graphs.runs import Prompts, Runs, mean_outputs, prepare
from tasks.metrics import AbstractMetric, Targets
from tasks.prompts import PromptBatch, PromptPairs


@dataclass(frozen=True)
class Batch:
    """Prompts of one length: what the model runs on and what its logits are measured against."""

    runs: Runs
    prompts: PromptBatch
    targets: Targets

    def columns(self, metric: AbstractMetric) -> tuple[Int[Tensor, "batch column"] | None, Targets]:
        """The columns of the vocabulary that a metric looks at (None: all), and its targets among these."""
        if metric.needs_vocabulary:
            return None, self.targets
        needed = self.prompts.columns()
        return needed.tokens, Targets(needed.answers, needed.distractors, self.targets.reference)


@dataclass(frozen=True)
class Problem:
    """What a discovery algorithm is given: a model, prompts, a metric and what missing edges carry.

    Prompts run in batches of equal length, of at most `batch_size` (None: no limit); every number is per prompt or a
    mean over all prompts, whatever the batches.
    """

    model: Model
    pairs: PromptPairs
    metric: AbstractMetric
    ablation: Ablation = Ablation.RESAMPLE
    batch_size: int | None = None

    @property
    def graph(self) -> ComputationalGraph:
        """The model's computational graph."""
        return self.model.graph

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """The prompts with the clean and ablated runs of each batch."""
        return tuple(self._prepared())

    def _prepared(self) -> Iterator[Batch]:
        prompts = [batch.to(self.model.device) for batch in self.pairs.batches(self.batch_size)]
        means = mean_outputs(self.model, [batch.corrupt for batch in prompts], self.ablation)
        for batch in prompts:
            tokens = Prompts(batch.clean, batch.corrupt, batch.positions)
            runs = prepare(self.model, tokens, self.ablation, means)
            with torch.no_grad():
                reference = runs.reference()
            yield Batch(runs, batch, Targets(batch.answers, batch.distractors, reference))

    def measure(
        self, circuits: Sequence[Circuit], metrics: Sequence[AbstractMetric] | None = None
    ) -> Float[Tensor, "metric circuit prompt"]:
        """Every metric (None: the problem's own) of every circuit on every prompt, in the order of `pairs`; on the CPU.

        Raises: DifferentGraphs when a circuit is of another model.
        """
        metrics = [self.metric] if metrics is None else metrics
        values = torch.empty(len(metrics), len(circuits), len(self.pairs), dtype=torch.float64)
        for batch in self.batches:
            rows = batch.prompts.index.cpu()
            logits = Executor.of(batch.runs).run(circuits)
            for place, metric in enumerate(metrics):
                values[place][:, rows] = metric(logits, batch.targets).double().cpu()
        return values

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The mean metric of the whole model and of no edge at all.

        Raises: UnmeasurableBehaviour unless the whole model is the better one, by more than twice the standard error of
        their difference.
        """
        full, none = self.measure([Circuit.full(self.graph), Circuit.empty(self.graph)])[0]
        change = ((full - none) * self.metric.sign).numpy()
        noise = 2 * change.std(ddof=1) / numpy.sqrt(len(change)) if len(change) > 1 else 0.0
        if not change.mean() > max(noise, 1e-6 * max(1.0, float(full.abs().mean()))):
            raise UnmeasurableBehaviour(
                f"ablating the whole model worsens the {self.metric.name} of these prompts by only {change.mean():.3g} "
                f"(noise {noise:.3g}), so no circuit can be told from none; use corrupt prompts that break the "
                "behaviour, another metric (--metric) or ablation (--ablation), or a model that shows the behaviour"
            )
        return float(full.mean()), float(none.mean())

    def normalised(self, value: Float[Tensor, "*circuit"]) -> Float[Tensor, "*circuit"]:
        """Mean metrics as a fraction of the way from no edge (0) to the whole model (1)."""
        full, none = self.bounds
        return (value - none) / (full - none)
