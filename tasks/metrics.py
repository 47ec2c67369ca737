"""Metrics: one number per prompt for how strongly logits show the behaviour; each states its sign."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.tasks.continuations import Continuations, Way
from acdc.tasks.errors import BadPrompts, PromptProblem, TaskError
from acdc.tasks.known_metrics import METRICS, metric_name
from acdc.tasks.known_metrics import metric_names as metric_names


@final
@dataclass(frozen=True)
class Targets:
    """What logits are measured against, one row per scored position of a prompt.

    `answers` and `distractors` are columns of the logits (-1 pads); `reference` holds the full model's
    logits on the clean prompts at the scored positions; `shares` is what part of its prompt each row is (None: a whole
    one), so that what is measured of the rows of a prompt adds up to the mean over its scored positions. Where answers
    are measured whole, `continuations` says what each row is a token of, and a row has an answer or a distractor.

    Raises: TaskError if a prompt has no answer or no distractor.
    """

    answers: Int[Tensor, "batch answer"]
    distractors: Int[Tensor, "batch distractor"]
    reference: Float[Tensor, "batch vocab"]
    shares: Float[Tensor, " batch"] | None = None
    continuations: Continuations | None = None

    def __post_init__(self) -> None:
        if self.continuations is not None:
            return
        for name in ("answers", "distractors"):
            empty = (getattr(self, name) < 0).all(dim=1)
            if empty.any():
                raise TaskError(
                    f"prompts without {name} cannot be measured: got none for prompt "
                    f"{int(empty.int().argmax())}, wanted at least one for each; add {name}."
                )


class AbstractMetric(ABC):
    """A number per prompt: what it means, which sign means a stronger behaviour, what it needs."""

    name: ClassVar[str]
    sign: ClassVar[Literal[1, -1]]
    """+1: higher means the behaviour is stronger; -1: lower does."""
    needs_vocabulary: ClassVar[bool]
    """False: only the answers' and distractors' logits matter, so the others need not be computed."""
    differentiable: ClassVar[bool]
    stationary: ClassVar[bool] = False
    """Whether the gradient is 0 at the full model's own logits, where the metric is at its best."""
    whole: ClassVar[Way | None] = None
    """How it is measured of whole answers, from what it is of each token; None: it is not."""
    only_whole: ClassVar[bool] = False

    @property
    def meaning(self) -> str:
        """What its numbers mean, and which sign means a stronger behaviour."""
        return METRICS[self.name].meaning

    def goes_with(self, *, whole: bool) -> bool:
        """Whether it measures answers of one token, or whole answers."""
        return self.whole is not None if whole else not self.only_whole

    def require(self, *, whole: bool) -> None:
        """Refuse answers that it does not measure.

        Raises: BadPrompts.
        """
        if self.goes_with(whole=whole):
            return
        fitting = [name for name, kind in _kinds().items() if kind().goes_with(whole=whole)]
        what = "whole answers cannot be measured by this metric" if whole else "this metric is of whole answers only"
        remedy = "choose one of these (--metric)"
        if not whole:
            remedy += "; of answers of one token logit_difference is the same number"
        raise BadPrompts(PromptProblem(what, self.name, f"{', '.join(fitting[:-1])} or {fitting[-1]}", remedy))

    def __call__(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Return what every row adds to the metric of its prompt under every circuit: all of it, or its share."""
        values = self.of_rows(logits, targets)
        if targets.continuations is not None:
            self.require(whole=True)
            assert self.whole is not None
            return targets.continuations.weighted(values, self.whole)
        if targets.shares is None:
            return values
        return values * targets.shares.to(values)

    @abstractmethod
    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Return the metric of every row under every circuit, in the logits' dtype but at least in float32."""


@final
@dataclass(frozen=True)
class LogitDifference(AbstractMetric):
    """Mean logit of the answers minus mean logit of the distractors."""

    name = "logit_difference"
    sign = 1
    needs_vocabulary = False
    differentiable = True

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Mean logit over answers - mean logit over distractors."""
        logits = _wide(logits)
        return _mean(logits, targets.answers) - _mean(logits, targets.distractors)


@final
@dataclass(frozen=True)
class ProbabilityDifference(AbstractMetric):
    """Probability of all answers minus probability of all distractors.

    Source: Hanna et al. 2023, arXiv:2305.00586, section 2.
    """

    name = "probability_difference"
    sign = 1
    needs_vocabulary = True
    differentiable = True

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Sum of p over answers - sum of p over distractors."""
        probabilities = _wide(logits).softmax(dim=-1)
        return _sum(probabilities, targets.answers) - _sum(probabilities, targets.distractors)


@final
@dataclass(frozen=True)
class LogProbabilityDifference(AbstractMetric):
    """Mean log probability of the whole answers minus that of the whole distractors.

    The log probability of an answer is the sum over its tokens, each after the prompt and the tokens before it.
    """

    name = "log_probability_difference"
    sign = 1
    needs_vocabulary = True
    differentiable = True
    whole = "difference"
    only_whole = True

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Log p of a row's answer, or minus log p of its distractor."""
        likely = _wide(logits).log_softmax(dim=-1)
        return _sum(likely, targets.answers) - _sum(likely, targets.distractors)


@final
@dataclass(frozen=True)
class KLDivergence(AbstractMetric):
    """Kullback-Leibler divergence of the circuit's next-token distribution from the full model's, in nats."""

    name = "kl"
    sign = -1
    needs_vocabulary = True
    differentiable = True
    stationary = True
    whole = "mean"

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Sum over the vocabulary of p_full (log p_full - log p)."""
        logits = _wide(logits)
        full = targets.reference.to(logits.dtype).log_softmax(dim=-1)
        return (full.exp() * (full - logits.log_softmax(dim=-1))).sum(dim=-1)


@final
@dataclass(frozen=True)
class NegativeLogLikelihood(AbstractMetric):
    """Negative log of the probability of all answers, in nats; of whole answers the mean of that of each."""

    name = "nll"
    sign = -1
    needs_vocabulary = True
    differentiable = True
    whole = "sum"

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Logsumexp of all logits - logsumexp of the answers."""
        logits = _wide(logits)
        values, given = _columns(logits, targets.answers)
        given = given | ~given.any(dim=-1, keepdim=True)  # a distractor's row: any finite number, with a gradient
        return logits.logsumexp(dim=-1) - values.masked_fill(~given, -torch.inf).logsumexp(dim=-1)


@final
@dataclass(frozen=True)
class Accuracy(AbstractMetric):
    """1 where the most likely token of the whole vocabulary is an answer, else 0; every token of a whole answer."""

    name = "accuracy"
    sign = 1
    needs_vocabulary = True
    differentiable = False
    whole = "every"

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """Whether the argmax of the logits is an answer, as 0 or 1."""
        top = logits.argmax(dim=-1, keepdim=True)
        return (top == targets.answers).any(dim=-1).to(_wide(logits).dtype)


@final
@dataclass(frozen=True)
class L2(AbstractMetric):
    """Euclidean distance of the logits from the full model's."""

    name = "l2"
    sign = -1
    needs_vocabulary = True
    differentiable = True
    stationary = True

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        """The norm of logits - reference."""
        # vector_norm's gradient is 0 where the distance is 0; that of sqrt would be nan.
        logits = _wide(logits)
        distance: Tensor = torch.linalg.vector_norm(logits - targets.reference.to(logits.dtype), dim=-1)
        return distance


def metric(name: str) -> AbstractMetric:
    """Return the metric of this name, or of this alias of a name.

    Raises: UnknownMetric, with the nearest names.
    """
    return _kinds()[metric_name(name)]()


def _kinds() -> dict[str, type[AbstractMetric]]:
    """The metrics by their names, in the order in which these are known."""
    named = {kind.name: kind for kind in AbstractMetric.__subclasses__() if kind.__module__ == __name__}
    return {name: named[name] for name in METRICS}


def _wide(logits: Float[Tensor, "*circuit batch vocab"]) -> Float[Tensor, "*circuit batch vocab"]:
    """The logits in float32 at least: half precision would lose what is looked for, and its squares overflow."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _columns(
    values: Float[Tensor, "*circuit batch vocab"], columns: Int[Tensor, "batch column"]
) -> tuple[Float[Tensor, "*circuit batch column"], Bool[Tensor, "batch column"]]:
    """Return the values in these columns, and which of them are given (not padding)."""
    index = columns.clamp(min=0).expand(*values.shape[:-1], columns.shape[-1])
    return values.gather(-1, index), columns >= 0


def _sum(
    values: Float[Tensor, "*circuit batch vocab"], columns: Int[Tensor, "batch column"]
) -> Float[Tensor, "*circuit batch"]:
    picked, given = _columns(values, columns)
    return picked.masked_fill(~given, 0).sum(dim=-1)


def _mean(
    values: Float[Tensor, "*circuit batch vocab"], columns: Int[Tensor, "batch column"]
) -> Float[Tensor, "*circuit batch"]:
    return _sum(values, columns) / (columns >= 0).sum(dim=-1)
