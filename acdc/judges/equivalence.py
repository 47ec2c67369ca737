"""Does the circuit score as the model does? Prompt by prompt, and on the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.precision import require_finite

if TYPE_CHECKING:
    import numpy.typing

    from acdc.problem import Problem

SLACK = 0.1
"""How far the part of prompts on which the circuit scores higher may be from a half."""
MARGIN = 0.1
"""How far the means may be apart, as a part of what ablating the whole model changes."""
_ROUNDING = 1e-5


@dataclass(frozen=True)
class SignTest:
    """How many prompts the circuit scores above, below and as the model; H0: the part above is within 1/2 +- 0.1.

    A small p-value says that they differ, but few prompts leave it large whatever the circuit.
    """

    above: int
    below: int
    equal: int
    p_value: float


@dataclass(frozen=True)
class TwoOneSidedTests:
    """The mean difference, circuit less model; H0 of the two t-tests (TOST): it is at least `margin` either way.

    A small p-value says that they are alike.
    """

    difference: float
    margin: float
    p_value: float


@dataclass(frozen=True)
class Equivalence:
    """Whether circuit and model score alike, prompt by prompt and on the mean."""

    sign_test: SignTest
    tost: TwoOneSidedTests

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; the p-values by what a small one says."""
        return {
            "above": self.sign_test.above,
            "below": self.sign_test.below,
            "equal": self.sign_test.equal,
            "p_differs": self.sign_test.p_value,
            "difference": self.tost.difference,
            "margin": self.tost.margin,
            "p_alike": self.tost.p_value,
        }


def equivalence(problem: Problem, circuit: Circuit, seed: int = 0, *, margin: float = MARGIN) -> Equivalence:
    """Compare the problem's metric of circuit and model; `margin` is a part of the change from model to no edge.

    Nothing is drawn at random, so that `seed` changes nothing.

    Raises: BadSetting when there are fewer than two prompts or the margin is not positive; UnmeasurableBehaviour,
    DifferentGraphs.
    """
    full, none = problem.bounds
    values = problem.measure([Circuit.full(problem.graph), circuit])[0].numpy()
    return compare(values[0], values[1], margin * abs(full - none))


def compare(
    model: numpy.typing.NDArray[numpy.float64], circuit: numpy.typing.NDArray[numpy.float64], margin: float
) -> Equivalence:
    """The tests of one score of model and circuit per prompt; `margin` is in the score's units.

    Raises: BadSetting, NotFinite.
    Source: Shi et al. 2024 (arXiv:2410.13032), section 3, for the sign test; Schuirmann 1987 for TOST.
    """
    if len(model) < 2 or not margin > 0:
        raise BadSetting(f"{len(model)} prompts and a margin of {margin} were given; wanted 2 prompts and one above 0")
    require_finite("equivalence", model, circuit)
    change = circuit - model
    near = numpy.abs(change) <= _ROUNDING * max(float(numpy.abs(model).max()), margin)
    above, below, equal = (int(some.sum()) for some in (~near & (change > 0), ~near & (change < 0), near))
    return Equivalence(
        SignTest(above, below, equal, sign_test(above, below, equal)),
        TwoOneSidedTests(float(change.mean()), margin, two_one_sided(change, margin)),
    )


def sign_test(above: int, below: int, equal: int, slack: float = SLACK) -> float:
    """The p-value of H0: a prompt is above with a probability within 1/2 +- slack; equal prompts count half to each.

    It is the largest that any probability within gives to counts as uneven as these.
    """
    from scipy.stats import binom

    n = above + below + equal
    more = max(above, below) + equal // 2
    both = binom.sf(more - 1, n, 0.5 + slack) + binom.cdf(n - more, n, 0.5 + slack)
    return float(min(1.0, both))


def two_one_sided(change: numpy.typing.NDArray[numpy.float64], margin: float) -> float:
    """The p-value of H0: the mean of `change` is at most -margin or at least margin.

    Raises: NotFinite.
    """
    from scipy.stats import ttest_1samp

    require_finite("equivalence", change, margin)
    if change.std() <= 1e-12 * margin:  # no spread, no t
        return 0.0 if abs(change.mean()) < margin else 1.0
    lower = ttest_1samp(change, -margin, alternative="greater").pvalue
    upper = ttest_1samp(change, margin, alternative="less").pvalue
    return float(max(lower, upper))
