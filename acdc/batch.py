"""One batch of prompts with its runs, and circuits measured on it.

How many prompts share one, and which runs are kept, is decided in `acdc.problem`; `tasks.prompts` groups by length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import Runs
from acdc.precision import finite_metric
from acdc.tasks.batches import PromptBatch
from acdc.tasks.metrics import AbstractMetric, Targets

_LOGITS = 1 << 26
"""How many logits are held at once when many circuits are measured."""


@dataclass(frozen=True)
class Batching:
    """How many prompts run together: at most `prompts` (None: as many as fit).

    Where the runs of all prompts together take more than `max_bytes` (None: no limit), batches are small enough for it
    and are prepared anew whenever they are needed, one at a time.
    """

    prompts: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True)
class Batch:
    """Prompts that run together: what the model runs on and what its logits are measured against.

    `runs` may be confined to the tokens at which circuits can differ; `whole` are those of all, made `again` if so.
    """

    runs: Runs
    prompts: PromptBatch
    targets: Targets
    again: Callable[[], Runs]

    @cached_property
    def whole(self) -> Runs:
        """The runs of whole prompts; made when first asked for, and held until `release`."""
        return self.runs if self.runs.positions.tokens is None else self.again()

    def release(self) -> None:
        """Let go of the runs of whole prompts, where others are held besides."""
        self.__dict__.pop("whole", None)

    def __repr__(self) -> str:
        return f"<Batch: {self.runs!r}>"

    def columns(self, metric: AbstractMetric) -> tuple[Int[Tensor, "batch column"] | None, Targets]:
        """The columns of the vocabulary that a metric looks at (None: all), and its targets among these."""
        if metric.needs_vocabulary:
            return None, self.targets
        needed = self.prompts.columns()
        return needed.tokens, replace(self.targets, answers=needed.answers, distractors=needed.distractors)

    def parts(self, prompts: int) -> Iterator[Batch]:
        """The same in batches of at most so many prompts, those of similar length together."""
        numbers, positions = self.prompts.prompt_numbers, self.prompts.scored_positions
        ends = [int(positions[numbers == number].max()) for number in range(len(self.prompts.prompts))]
        order = sorted(range(len(ends)), key=ends.__getitem__)
        for start in range(0, len(order), prompts):
            rows = torch.cat([(numbers == number).nonzero().squeeze(1) for number in order[start : start + prompts]])
            chosen = {name: getattr(self.prompts, name)[rows] for name in self.prompts.__dataclass_fields__}
            part = PromptBatch(**chosen)
            targets = part.targets(self.targets.reference[rows])
            yield Batch(self.runs.select(rows), part, targets, partial(_select, self, rows))

    def measure(
        self, circuits: Sequence[Circuit], metrics: Sequence[AbstractMetric]
    ) -> Float[Tensor, "metric circuit prompt"]:
        """Every metric of every circuit on every one of these prompts, in the order of `prompts.prompts`; on the CPU.

        Raises: DifferentGraphs when a circuit is of another model; NotFinite.
        """
        values = torch.empty(len(metrics), len(circuits), len(self.prompts), dtype=torch.float64)
        executor, vocabulary = Executor.of(self.runs), self.runs.model.unembedding.weight.shape[0]
        several = max(1, _LOGITS // (len(self.prompts) * vocabulary))
        for start in range(0, len(circuits), several):
            some = slice(start, start + several)
            logits = executor.run(circuits[some])
            for index, metric in enumerate(metrics):
                values[index, some] = finite_metric(metric, logits, self.targets, self.runs.model).double().cpu()
        return self.prompts.added_up(values)


def _select(batch: Batch, rows: Int[Tensor, " row"]) -> Runs:
    return batch.whole.select(rows)
