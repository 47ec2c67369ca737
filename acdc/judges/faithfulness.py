"""Does the circuit do what the model does? Measured on prompts it was not found on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from acdc.graphs.circuit import Circuit
from acdc.progress import Progress

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    from jaxtyping import Float
    from torch import Tensor

    from acdc.judges.distance import Watch
    from acdc.problem import Problem
    from acdc.tasks.metrics import AbstractMetric

CONFIDENCE = 0.95
RESAMPLES = 10_000
_FEW = 8


@dataclass(frozen=True)
class Interval:
    """An estimate with the two ends of its 95% confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Levels:
    """The mean of a metric over the prompts: the whole model, the circuit, and no edge at all."""

    full: float
    circuit: float
    none: float


@dataclass(frozen=True)
class Tail:
    """How a quantity is spread over the prompts: median, 95th percentile and maximum."""

    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class Size:
    """How large a circuit is, and of how many edges."""

    edges: int
    of_edges: int
    nodes: int
    heads: int


@dataclass(frozen=True)
class Faithfulness:
    """How much of the behaviour a circuit keeps.

    `normalised` is (m(circuit) - m(none)) / (m(full) - m(none)), a ratio of means over the prompts: 1 is the whole
    model, 0 no edge at all, above 1 more of the behaviour than the model shows; its interval is a paired bootstrap
    over prompts. `metric` is m, `kl` KL(full || circuit) in nats, `kl_tail` its spread over the prompts for the
    circuit, `accuracy` the fraction of prompts whose most likely token is an answer.
    """

    normalised: Interval
    metric: Levels
    kl: Levels
    kl_tail: Tail
    accuracy: Levels
    size: Size

    def __repr__(self) -> str:
        kept, size = self.normalised, self.size
        return (
            f"<Faithfulness: {size.edges:,} of {size.of_edges:,} edges keep {kept.value:.1%} (95% CI {kept.low:.1%} to "
            f"{kept.high:.1%}), KL {self.kl.circuit:.3g} nats, right on {self.accuracy.circuit:.0%} (the model on "
            f"{self.accuracy.full:.0%})>"
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def faithfulness(problem: Problem, circuit: Circuit, seed: int = 0) -> Faithfulness:
    """Measure a circuit on a problem's prompts; `seed` is the bootstrap's.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    Source: the normalised form is that of Wang et al. 2022, section 4, as MIB (Mueller et al. 2025) normalises it.
    """
    return faithfulness_of_each(problem, [circuit], seed)[0]


def faithfulness_of_each(
    problem: Problem, circuits: Sequence[Circuit], seed: int = 0, watch: Watch | None = None, stage: str = "measuring"
) -> tuple[Faithfulness, ...]:
    """What `faithfulness` is of every one of some circuits; the whole model and no edge at all are measured once.

    With a `watch` they are measured a few at a time, and it hears of each few by the name of the `stage`.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    import numpy

    from acdc.tasks.metrics import Accuracy, KLDivergence

    problem.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch
    every = [Circuit.full(problem.graph), *circuits, Circuit.empty(problem.graph)]
    metrics = [problem.metric, KLDivergence(), Accuracy()]
    values = numpy.concatenate([part.numpy() for part in _measured(problem, every, metrics, watch, stage)], axis=1)
    means = values.mean(axis=2)

    def one(index: int, circuit: Circuit) -> Faithfulness:
        metric, kl, accuracy = (Levels(*(float(row[at]) for at in (0, index, -1))) for row in means)
        spread = numpy.quantile(values[1, index], [0.5, 0.95, 1.0])
        return Faithfulness(
            normalised=ratio_of_means(values[0, 0], values[0, index], values[0, -1], seed),
            metric=metric,
            kl=kl,
            kl_tail=Tail(*(float(v) for v in spread)),
            accuracy=accuracy,
            size=Size(len(circuit), circuit.graph.n_edges, len(circuit.nodes()), len(circuit.heads())),
        )

    return tuple(one(index, circuit) for index, circuit in enumerate(circuits, start=1))


def _measured(
    problem: Problem, circuits: Sequence[Circuit], metrics: Sequence[AbstractMetric], watch: Watch | None, stage: str
) -> Iterator[Float[Tensor, "metric circuit prompt"]]:
    """Every metric of all circuits, or where somebody waits of a few of them at a time."""
    few = len(circuits) if watch is None else _FEW
    for start in range(0, len(circuits), few):
        yield problem.measure(circuits[start : start + few], metrics)
        if watch is not None:
            watch(Progress(stage, min(start + few, len(circuits)), len(circuits)))


def ratio_of_means(
    full: numpy.typing.NDArray[numpy.float64],
    circuit: numpy.typing.NDArray[numpy.float64],
    none: numpy.typing.NDArray[numpy.float64],
    seed: int,
) -> Interval:
    """The ratio of means with its percentile interval, every resample drawing the three numbers of a prompt together.

    Resamples that happen to hold only prompts which ablation leaves as they are have no ratio and do not count.

    Raises: NotFinite.
    Source: Efron and Tibshirani 1993, chapter 13; ratio of means, never mean of ratios: Miller et al. 2024.
    """
    import numpy

    from acdc.precision import require_finite

    require_finite("what is kept of a behaviour", full, circuit, none)
    draws = numpy.random.default_rng(seed).integers(len(full), size=(RESAMPLES, len(full)))
    kept, whole = circuit - none, full - none
    kept_means, whole_means = kept[draws].mean(axis=1), whole[draws].mean(axis=1)
    defined = whole_means != 0
    ratios = kept_means[defined] / whole_means[defined]
    tail = (1 - CONFIDENCE) / 2
    low, high = numpy.quantile(ratios, [tail, 1 - tail])
    return Interval(float(kept.mean() / whole.mean()), float(low), float(high))
