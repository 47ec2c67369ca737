"""Does a circuit from a file still hold: on its own prompts, on others, or on another checkpoint?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tasks
from acdc.discovery import problems
from acdc.errors import WrongModel
from acdc.goals import Edges, Goal, KeptFaithfulness, Threshold
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.method import Method
from acdc.models import load_named
from acdc.problem import Problem
from acdc.setup import Setup
from graphs.circuit import Circuit
from graphs.errors import BadCircuitFile
from graphs.model import Model
from tasks.task import Task


def evaluate(
    circuit: str | Path | Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | None = None,
    setup: Setup | None = None,
) -> Faithfulness:
    """Measure a circuit on judgement prompts.

    What is left out is what the circuit's own record says: its task, its model, and its setup.

    Raises: as `judgement`; UnmeasurableBehaviour.
    """
    circuit = circuit if isinstance(circuit, Circuit) else Circuit.load(circuit)
    setup = recorded_setup(circuit) if setup is None else setup
    return faithfulness(judgement(circuit, task=task, model=model, setup=setup), circuit, setup.seed)


def judgement(
    circuit: Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | None = None,
    setup: Setup | None = None,
) -> Problem:
    """The problem of a circuit's judgement prompts, for any judge; what is left out is what its own record says.

    Raises: as `subject`; BadPrompts.
    """
    setup = recorded_setup(circuit) if setup is None else setup
    return problems(*subject(circuit, task=task, model=model, setup=setup), setup)[1]


def subject(
    circuit: Circuit, *, task: str | Path | Task | None = None, model: str | None = None, setup: Setup
) -> tuple[Task, Model]:
    """The task and the loaded model of a circuit; what is None is what its own record says.

    Raises: WrongModel when the model's graph is not the circuit's; BadCircuitFile when the record does not say what is
    left out; and as `discover`.
    """
    task = task or str(_recorded(circuit, "task", "file") or _recorded(circuit, "task", "name"))
    task = task if isinstance(task, Task) else tasks.get(task)
    name = model or str(_recorded(circuit, "model", "name"))
    loaded = load_named(name, setup)
    if loaded.graph != circuit.graph:
        raise WrongModel(
            f"the circuit is of a model with {circuit.graph.describe()} and width {circuit.graph.d_model}, but {name} "
            f"has {loaded.graph.describe()} and width {loaded.graph.d_model}; give the circuit's own model (--model)"
        )
    return task, loaded


def recorded_setup(circuit: Circuit) -> Setup:
    """The setup a circuit was discovered with, on the CPU.

    Raises: BadCircuitFile when the circuit's record does not hold one.
    """
    keys = (("metric", "name"), ("ablation",), ("prompts", "count"), ("prompts", "seed"), ("model", "dtype"))
    metric, ablation, prompts, seed, dtype = (str(_recorded(circuit, *key)) for key in keys)
    try:
        return Setup(metric, ablation, int(prompts), int(seed), dtype=dtype, only_correct=_only_correct(circuit))
    except ValueError as error:
        raise BadCircuitFile(f"the circuit's record is damaged: {error}; discover the circuit again") from error


def _only_correct(circuit: Circuit) -> bool:
    """Whether a circuit was discovered on prompts that the model gets right only; older files do not say: on all."""
    prompts = circuit.provenance.get("prompts")
    return isinstance(prompts, dict) and prompts.get("only_correct") is True


def recorded_search(circuit: Circuit) -> tuple[Method, Goal]:
    """The method and the goal a circuit was discovered with.

    Raises: BadCircuitFile when the circuit's record does not hold them.
    """
    settings, asked = (_recorded(circuit, "algorithm", key) for key in ("settings", "goal"))
    kinds: dict[str, Callable[..., Goal]] = {kind.__name__: kind for kind in (Threshold, Edges, KeptFaithfulness)}
    try:
        goal, how = dict(asked), dict(settings)  # type: ignore[call-overload]  # what is no mapping is refused here
        return Method(**how), kinds[goal.pop("kind")](**goal)
    except (ValueError, TypeError, KeyError) as error:
        raise BadCircuitFile(f"the circuit's record is damaged: {error!r}; discover the circuit again") from error


def _recorded(circuit: Circuit, *keys: str) -> object:
    value: object = circuit.provenance
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise BadCircuitFile(
                f"the circuit's record lacks {'.'.join(keys)}, so it does not say what to measure it with; "
                "give --task and --model, and in Python a Setup"
            )
        value = value[key]
    return value
