"""How far circuits are from another one, prompt by prompt: what judges hold random circuits to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.progress import Progress

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    from acdc.graphs.circuit import Circuit
    from acdc.problem import Problem

Watch = Callable[[Progress], None]
"""What hears of each piece of work done."""

_PROMPTS = 8
_CIRCUITS = 100
"""How many prompts and circuits are measured between one word to the watch and the next."""
_ROUNDING = 1e-6


def rounding(problem: Problem) -> float:
    """How far two equal distances may be apart: a small part of what ablating the whole model changes.

    Raises: UnmeasurableBehaviour.
    """
    full, none = problem.bounds
    return _ROUNDING * abs(full - none)


@freed_memory_kept()
def distances(
    problem: Problem,
    origin: Circuit,
    circuits: Sequence[Circuit],
    enough: float = float("inf"),
    *,
    stage: str = "distances",
    watch: Watch | None = None,
) -> numpy.typing.NDArray[numpy.float64]:
    """The mean over prompts of |metric of each circuit - metric of the origin|.

    A circuit whose first prompts alone put it further away than `enough` is measured on no more of them: its number is
    that of the prompts that it was measured on, as if it were at the origin on all others, and so at most its distance.

    Raises: DifferentGraphs.
    """
    import numpy

    total, count = numpy.zeros(len(circuits)), len(problem.pairs)
    measured = 0
    for batch in problem.batches:
        for part in batch.parts(_PROMPTS):
            near = (total <= enough * count).nonzero()[0]
            for start in range(0, len(near), _CIRCUITS):
                some = near[start : start + _CIRCUITS]
                # the origin runs with them, so that those that do the same as it are at 0 to the last bit
                values = part.measure([origin, *(circuits[index] for index in some)], [problem.metric])[0]
                total[some] += (values[1:] - values[0]).abs().sum(-1).numpy()
                prompts = measured + len(part.prompts.prompts) * (start + len(some)) / len(near)
                if watch is not None and prompts < count:
                    watch(Progress(stage, round(len(circuits) * prompts / count), len(circuits)))
            measured += len(part.prompts.prompts)
    if watch is not None:
        watch(Progress(stage, len(circuits), len(circuits)))
    return total / count
