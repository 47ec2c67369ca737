"""Does the rest of the model still know? Whether its score without the circuit goes with the model's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.precision import require_finite
from acdc.tasks.metrics import LogitDifference

if TYPE_CHECKING:
    import numpy.typing

    from acdc.problem import Problem

PERMUTATIONS = 1000
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Independence:
    """Whether the scores of the complement and of the model are independent over the prompts.

    The score is that of `metric`. `hsic` is their Hilbert-Schmidt independence criterion, 0 if one of them is constant.
    `p_value` is that of H0: they are independent; a small one says that something of the behaviour is outside the
    circuit. Where the model's score is the same on every prompt it does not vary, and nothing has been tested.
    """

    hsic: float
    p_value: float
    permutations: int
    metric: str = ""
    varies: bool = True

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def independence(
    problem: Problem, circuit: Circuit, seed: int = 0, *, permutations: int = PERMUTATIONS
) -> Independence:
    """Test the complement's score against the model's, with permutations of the prompts.

    Where the problem's metric is the same for the model on every prompt, as the divergence from the model itself is,
    the score is the logit difference.

    Raises: BadSetting when there are fewer than two prompts or no permutation; UnmeasurableBehaviour, DifferentGraphs.
    """
    problem.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch
    metrics = [problem.metric, LogitDifference()]
    values = problem.measure([Circuit.full(problem.graph), ~circuit], metrics).numpy()
    differing = [bool(numpy.ptp(model) > _ROUNDING * max(1.0, float(numpy.abs(model).max()))) for model, _ in values]
    metric, (model, rest), varies = next(
        (one for one in zip(metrics, values, differing, strict=True) if one[-1]), (metrics[0], values[0], False)
    )
    return replace(permuted(rest, model, permutations, seed), metric=metric.name, varies=varies)


def permuted(
    x: numpy.typing.NDArray[numpy.float64],
    y: numpy.typing.NDArray[numpy.float64],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Independence:
    """HSIC of two numbers per prompt, and how often it is at least as large when the prompts of one are permuted.

    HSIC is tr(KHLH) / (n - 1)^2 with Gaussian kernels whose bandwidths are the median distances; the p-value is
    (1 + permutations at least as large) / (1 + permutations).

    Raises: BadSetting, NotFinite.
    Source: Gretton et al. 2007, A kernel statistical test of independence, section 2, as in Shi et al. 2024.
    """
    n = len(x)
    if n < 2 or permutations < 1:
        raise BadSetting(f"{n} prompts and {permutations} permutations were given; wanted at least 2 and 1")
    require_finite("independence", x, y)
    draw = numpy.random.default_rng(seed)
    first, second = _kernel(x), _kernel(y)
    first = first - first.mean(0) - first.mean(1)[:, None] + first.mean()  # HKH, and tr(KHLH) = sum of (HKH) * L
    own = float((first * second).sum())
    orders = (draw.permutation(n) for _ in range(permutations))
    # equal up to rounding is as large: where a score is constant every order is the same
    as_large = sum(float((first * second[order][:, order]).sum()) >= own - 1e-9 * n for order in orders)
    return Independence(own / (n - 1) ** 2, (1 + as_large) / (1 + permutations), permutations)


def _kernel(x: numpy.typing.NDArray[numpy.float64]) -> numpy.typing.NDArray[numpy.float64]:
    """The Gaussian kernel of all pairs; the median is over pairs that differ, for scores of which most are equal."""
    apart = numpy.abs(x[:, None] - x[None, :])
    differing = apart[apart > 1e-9 * max(1.0, float(numpy.abs(x).max()))]
    if not len(differing):
        return numpy.ones_like(apart)
    kernel: numpy.typing.NDArray[numpy.float64] = numpy.exp(-((apart / numpy.median(differing)) ** 2) / 2)
    return kernel
