"""What else a circuit does: run on the other tasks of its model, it should keep little of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from acdc.errors import UnmeasurableBehaviour
from acdc.judges.faithfulness import Interval, faithfulness
from acdc.tasks.errors import BadPrompts

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.model import Model
    from acdc.settings import Setup
    from acdc.tasks.task import Task

SHOWN = 0.8
"""A model less accurate than this does not do a task."""

Verdict = Literal["measured", "model's limit", "not expressible"]


@dataclass(frozen=True)
class OtherTask:
    """What a circuit keeps of another task: 0 nothing, 1 all; None where that says nothing, and `why` it does not.

    The accuracies are the fractions of prompts whose most likely token is an answer.
    """

    task: str
    verdict: Verdict
    kept: Interval | None = None
    model_accuracy: float | None = None
    circuit_accuracy: float | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def specificity(others: Sequence[Task], model: Model, circuit: Circuit, setup: Setup) -> tuple[OtherTask, ...]:
    """The circuit on the judgement prompts of other tasks, each by its own metric.

    Where its edges are by position, the spans are those of its own task: on others its edges are there at every one.

    Raises: DifferentGraphs when the circuit is of another model.
    """
    whole, plain = circuit.without_spans(), model.by_position(())
    return tuple(_other_task(task, plain, whole, replace(setup, positions="none")) for task in others)


def _other_task(task: Task, model: Model, circuit: Circuit, setup: Setup) -> OtherTask:
    from acdc.problems import problems

    try:
        _, problem = problems(task, model, replace(setup, metric=None, only_correct=False))
    except BadPrompts as error:
        return OtherTask(task.name, "not expressible", why=error.problems[0].what)
    try:
        judged = faithfulness(problem, circuit, setup.seed)
    except UnmeasurableBehaviour:
        return OtherTask(task.name, "model's limit", why="ablating the whole model does not worsen it")
    accuracies = judged.accuracy.full, judged.accuracy.circuit
    if not judged.accuracy.full >= SHOWN:
        why = f"the model is right on {judged.accuracy.full:.0%} of the prompts"
        return OtherTask(task.name, "model's limit", None, *accuracies, why)
    return OtherTask(task.name, "measured", judged.normalised, *accuracies)
