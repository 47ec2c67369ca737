"""A problem: one model, some prompts and a metric, ready to measure any circuit.

It decides how many prompts share a batch (`PromptPairs.batches` groups them by length), and which of their runs are
kept and which made anew where memory is short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch, Batching
from acdc.errors import UnmeasurableBehaviour
from acdc.footprint import LITTLE
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.constants import Constants
from acdc.graphs.errors import ModelChanged, NoConstants
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.constant_tensors import values_of
from acdc.graphs.execution.runs import TokenPairs, end, mean_outputs, prepare
from acdc.graphs.model import Model
from acdc.span_numbers import span_numbers
from acdc.tasks.batches import PromptBatch
from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.metrics import AbstractMetric
from acdc.tasks.prompts import PromptPairs


@dataclass(frozen=True)
class Effect:
    """By how much ablating the whole model worsens a metric, in the mean over prompts.

    `noise` is twice the standard error of that mean, `rounding` what arithmetic alone may amount to.
    """

    mean: float
    noise: float
    rounding: float

    @classmethod
    def of(
        cls, metric: AbstractMetric, full: Float[Tensor, " prompt"], none: Float[Tensor, " prompt"], dtype: torch.dtype
    ) -> Effect:
        """The effect, given the metric of the whole model and of no edge at all on every prompt, and the precision."""
        change = ((full - none) * metric.sign).numpy()
        noise = 2 * float(change.std(ddof=1)) / len(change) ** 0.5 if len(change) > 1 else 0.0
        return cls(float(change.mean()), noise, _rounding(dtype, float(full.abs().mean())))

    @property
    def shows(self) -> bool:
        """Whether the whole model does better by more than chance."""
        return self.mean > max(self.noise, self.rounding)


@dataclass(frozen=True)
class Problem:
    """What a discovery algorithm is given: a model, prompts, a metric and what missing edges carry.

    Prompts run in batches of equal length, padded at the end where the model cannot tell; every number is per prompt or
    a mean over all prompts, whatever the batches. A prompt that is scored at several positions counts as one: what is
    measured of it is the mean over these. So does one whose answers are measured whole; what is measured of it hangs on
    the metric.

    `carried_from` is where the constants are from that missing edges carry under some ablations. The mean ablations
    take their means over the corrupt prompts that it is (None: the problem's own). Problems of a few chosen prompts
    must name some: what a missing edge carries would hang on that choice otherwise. Under optimal ablation it is the
    learned constants themselves, as `acdc.problems` gives them.
    """

    model: Model
    pairs: PromptPairs
    metric: AbstractMetric
    ablation: Ablation = Ablation.RESAMPLE
    batching: Batching = field(default_factory=Batching)
    carried_from: PromptPairs | Constants | None = None

    def __post_init__(self) -> None:
        if len({pair.whole for pair in self.pairs.pairs}) > 1:
            wanted, remedy = "all of them whole or none", "measure all answers alike"
            what = "whole answers stand beside answers that are measured by one token"
            raise BadPrompts(PromptProblem(what, "some of both", wanted, remedy))
        self.metric.require(whole=self.pairs.whole)

    def __repr__(self) -> str:
        measured = f"{self.metric.name} under {self.ablation.value} ablation"
        return f"<Problem: {len(self.pairs):,} prompts, {measured}, {self.model!r}>"

    @property
    def graph(self) -> ComputationalGraph:
        """The model's computational graph."""
        return self.model.graph

    @property
    def batches(self) -> Collection[Batch]:
        """The prompts with the clean and ablated runs of each batch.

        Raises: ModelChanged when the model's weights are others than when this was first asked for.
        """
        if self.model.check_unchanged() != self._edits:
            raise ModelChanged(
                f"the weights of {self.model.identity.name} were edited after the prompts of this problem were run "
                "with the old ones; make the problem anew"
            )
        return self._held if self._fits else _Streamed(self)

    @cached_property
    def _edits(self) -> int:
        return self.model.check_unchanged()

    @cached_property
    def _held(self) -> tuple[Batch, ...]:
        return tuple(self.prepare())

    @property
    def _bytes_per_token(self) -> int:
        """What the clean and the corrupt run of a token take: what each sender writes, twice, and the residuals."""
        width = torch.finfo(self.model.dtype).bits // 8 * self.graph.d_model
        return width * (2 * len(self.graph.senders) + 4 * self.graph.n_layers)

    @property
    def _bytes(self) -> int:
        return self._bytes_per_token * sum(pair.length * len(pair.scored) for pair in self.pairs.pairs)

    @property
    def _fits(self) -> bool:
        limit = self.batching.max_bytes
        return limit is None or self._bytes <= limit

    def release(self) -> None:
        """Let go of the runs of the prompts; they are prepared anew when they are asked for again."""
        self.__dict__.pop("_held", None)

    def references(self) -> Iterator[tuple[PromptBatch, Float[Tensor, "row vocab"]]]:
        """Every batch of prompts with the model's own logits at its scored positions.

        Where many bytes of runs would be made for them, only the clean prompts are run, and nothing is kept.
        """
        if "_held" in self.__dict__ or self._bytes <= LITTLE:
            for batch in self.batches:
                yield batch.prompts, batch.targets.reference
            return
        for prompts in self.prompt_batches:
            with torch.no_grad():
                tokens = TokenPairs(prompts.clean, prompts.corrupt, prompts.scored_positions)
                final = self.model.final(prompts.clean, end(self.model, tokens))
                rows = torch.arange(len(prompts.scored_positions), device=final.device)
                logits = self.model.unembedding(final[rows, prompts.scored_positions])
            yield prompts, logits

    @cached_property
    def prompt_batches(self) -> tuple[PromptBatch, ...]:
        """The prompts in the batches they run in."""
        size, limit = self.batching.prompts, self.batching.max_bytes
        if size is None and limit is not None and not self._fits:
            longest = max(pair.length * len(pair.scored) for pair in self.pairs.pairs)
            size = max(1, limit // (longest * self._bytes_per_token))
        self._check_answers()
        batches = self.pairs.batches(size, padded=self.model.ignores_padding)
        return tuple(batch.to(self.model.device) for batch in batches)

    def _check_answers(self) -> None:
        if self.pairs.whole and not self.model.ignores_padding:
            raise BadPrompts(
                PromptProblem(
                    "whole answers cannot be measured with this model",
                    "one where later tokens or the prompt's length change what earlier ones say",
                    "one that reads from left to right, whatever follows",
                    "use prompts whose answers are one token, or measure first tokens (answers: first-token)",
                )
            )
        outputs = self.model.unembedding.weight.shape[0]
        for pair in self.pairs.pairs:
            ids = [token for scored in pair.scored for token in (*scored.answers, *scored.distractors)]
            if not all(0 <= token < outputs for token in ids):
                raise BadPrompts(
                    PromptProblem(
                        "the model has no logit for an answer or a distractor",
                        f"the ids {sorted(token for token in ids if not 0 <= token < outputs)}",
                        f"ids below {outputs:,}, of which it has logits",
                        "correct the prompts or use the model that they are for",
                    )
                )

    @cached_property
    def constants(self) -> Float[Tensor, "sender 1 pos d_model"] | None:
        """What missing edges carry under the mean ablations and optimal ablation; None under the others.

        Raises: NoConstants under optimal ablation without constants; DifferentGraphs when they are another model's.
        """
        if self.ablation is Ablation.OPTIMAL:
            if not isinstance(self.carried_from, Constants):
                raise NoConstants(
                    "under optimal ablation missing edges carry learned constants, and the problem has none; give them "
                    "as carried_from=..., or let `acdc.problems.problems` learn them"
                )
            return values_of(self.carried_from, self.graph).to(self.model.device, self.model.dtype)
        size = max(len(batch.clean) for batch in self.prompt_batches)
        averaged = self.carried_from if isinstance(self.carried_from, PromptPairs) else self.pairs
        return mean_outputs(self.model, [batch.corrupt for batch in averaged.once().batches(size)], self.ablation)

    def fits(self, tokens: int) -> bool:
        """Whether the model reads prompts of so many tokens, and missing edges carry means for each of them."""
        limit, constants = self.model.identity.n_context, self.constants
        long_enough = constants is None or constants.shape[2] == 1 or tokens <= constants.shape[2]
        return (limit is None or tokens <= limit) and long_enough

    def on(self, pairs: PromptPairs) -> Problem:
        """The same problem on other prompts, where missing edges carry the constants that they carry here."""
        other = replace(self, pairs=pairs, carried_from=self.carried_from or self.pairs)
        other.__dict__["constants"] = self.constants
        return other

    def by(self, metric: AbstractMetric) -> Problem:
        """The same problem measured by another metric; the runs of the prompts, if they are held, are these."""
        other = replace(self, metric=metric)
        shared = ("_edits", "_held", "constants", "prompt_batches")
        other.__dict__.update({name: self.__dict__[name] for name in shared if name in self.__dict__})
        return other

    def prepare(self) -> Iterator[Batch]:
        """Run the clean and corrupt prompts, batch by batch."""
        constants = self.constants
        longest = max(batch.clean.shape[1] for batch in self.prompt_batches)
        if constants is not None and 1 < constants.shape[2] < longest:
            raise UnmeasurableBehaviour(
                f"a prompt has {longest} tokens, but the prompts whose means missing edges carry only "
                f"{constants.shape[2]}; use shorter prompts or another ablation (--ablation)"
            )
        for batch in self.prompt_batches:
            yield self.prepared(batch)

    def tokens(self, prompts: PromptBatch) -> TokenPairs:
        """What a batch of its prompts runs on, with the spans of all positions if edges are by position."""
        spans = span_numbers(self.model, self.pairs, prompts)
        return TokenPairs(prompts.clean, prompts.corrupt, prompts.scored_positions, spans)

    def prepared(self, prompts: PromptBatch, *, confined: bool = True) -> Batch:
        """Run the clean and corrupt prompts of a batch; what is held is `confined` to what can differ in a circuit."""
        again = partial(prepare, self.model, self.tokens(prompts), self.ablation, self.constants)
        runs = again(confined=confined)
        with torch.no_grad():
            return Batch(runs, prompts, prompts.targets(runs.reference()), again)

    @freed_memory_kept()
    def measure(
        self, circuits: Sequence[Circuit], metrics: Sequence[AbstractMetric] | None = None
    ) -> Float[Tensor, "metric circuit prompt"]:
        """Every metric (None: the problem's own) of every circuit on every prompt, in the order of `pairs`; on the CPU.

        Raises: DifferentGraphs when a circuit is of another model; NotFinite.
        """
        metrics = [self.metric] if metrics is None else metrics
        values = torch.empty(len(metrics), len(circuits), len(self.pairs), dtype=torch.float64)
        for batch in self.batches:
            values[..., batch.prompts.prompts.cpu()] = batch.measure(circuits, metrics)
            del batch
        return values

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The mean metric of the whole model and of no edge at all.

        Raises: UnmeasurableBehaviour unless the whole model is the better one, by more than twice the standard error of
        their difference.
        """
        full, none = self.measure([Circuit.full(self.graph), Circuit.empty(self.graph)])[0]
        effect = Effect.of(self.metric, full, none, self.model.dtype)
        if not effect.shows:
            raise UnmeasurableBehaviour(
                f"ablating the whole model worsens the {self.metric.name} of these prompts by only {effect.mean:.3g} "
                f"(noise {effect.noise:.3g}), so no circuit can be told from none; use corrupt prompts that break the "
                "behaviour, another metric (--metric) or ablation (--ablation), or a model that shows the behaviour"
            )
        return float(full.mean()), float(none.mean())

    @property
    def rounding(self) -> float:
        """What arithmetic alone may amount to in the mean metric."""
        return _rounding(self.model.dtype, max(map(abs, self.bounds)))

    def normalised(self, value: Float[Tensor, "*circuit"]) -> Float[Tensor, "*circuit"]:
        """Mean metrics as a fraction of the way from no edge (0) to the whole model (1)."""
        full, none = self.bounds
        return (value - none) / (full - none)


def _rounding(dtype: torch.dtype, size: float) -> float:
    return 8 * max(torch.finfo(dtype).eps, 1e-9) * max(1.0, size)


@dataclass(frozen=True)
class _Streamed(Collection[Batch]):
    """Batches that do not fit into memory together: prepared anew each time they are gone through.

    Whoever goes through them lets go of each before asking for the next, or two are in memory.
    """

    problem: Problem

    def __len__(self) -> int:
        return len(self.problem.prompt_batches)

    def __iter__(self) -> Iterator[Batch]:
        return self.problem.prepare()

    def __contains__(self, batch: object) -> bool:
        return any(batch is other for other in self)
