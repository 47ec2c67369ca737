"""Does a circuit from a file still hold: on its own prompts, on others, or on another checkpoint?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acdc.errors import EmptyCircuit, WrongModel
from acdc.features.split import in_graph_of
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.judges.same_subject import Given, Tell, differences
from acdc.models import load_named, name_of
from acdc.problem import Problem
from acdc.problems import check_prompts, problems
from acdc.progress import Progress
from acdc.provenance import Provenance
from acdc.request import Request
from acdc.settings import Setup
from acdc.tasks.task import Task


def evaluate(
    circuit: str | Path | Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | Model | None = None,
    setup: Setup | None = None,
    anyway: bool = False,
) -> Faithfulness:
    """Measure a circuit on judgement prompts.

    What is left out is what the circuit's own record says: its task, its model, and its setup. Weights, tokenizer or
    prompts that have changed since are refused, unless `anyway`.

    Raises: as `judgement`; UnmeasurableBehaviour.
    """
    circuit = circuit if isinstance(circuit, Circuit) else Circuit.load(circuit)
    setup = Provenance.of(circuit).setup() if setup is None else setup
    return faithfulness(judgement(circuit, task=task, model=model, setup=setup, anyway=anyway), circuit, setup.seed)


def judgement(
    circuit: Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | Model | None = None,
    setup: Setup | None = None,
    anyway: bool = False,
    tell: Tell | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Problem:
    """The problem of a circuit's judgement prompts, for any judge; what is left out is what its own record says.

    `watch` hears of what must be learned for it.

    Raises: as `subject`; BadPrompts.
    """
    setup = Provenance.of(circuit).setup() if setup is None else setup
    of = subject(circuit, task=task, model=model, setup=setup, anyway=anyway, tell=tell)
    return problems(*of, setup, watch=watch)[1]


def subject(
    circuit: Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | Model | None = None,
    setup: Setup,
    anyway: bool = False,
    tell: Tell | None = None,
) -> tuple[Task, Model]:
    """The task and the loaded model of a circuit; what is None is what its own record says.

    The model's edges are by position, and its MLPs split, if the circuit's are.

    `tell` is told of weights, tokenizer and prompts that are not those the circuit was found with, where this follows
    from what is given here, and of what cannot be checked.

    Raises: ChangedSubject when they are others than the record says, for no such reason and not `anyway`; WrongModel
    when the model's graph is not the circuit's; EmptyCircuit; BadCircuitFile when the record does not say what is left
    out; and as `discover`.
    """
    if not circuit.edges:
        raise EmptyCircuit("a circuit of 0 edges does nothing, so there is nothing to measure; give one with edges")
    given = Given(task is not None, model is not None)
    origin = Provenance.of(circuit)
    task = origin.task_name() if task is None else task
    model = origin.model_name() if model is None else model
    asked = Request.of(task, model)
    task = asked.task
    if asked.file is not None and not isinstance(model, Model):
        check_prompts(task, asked.model, setup)
    loaded = model if isinstance(model, Model) else load_named(model, setup)
    loaded = in_graph_of(circuit, loaded)
    require_graph(circuit, loaded)
    differences(circuit, task, loaded, setup, given).refuse_or_tell(anyway=anyway, tell=tell)
    return task, loaded


def require_graph(circuit: Circuit, model: Model) -> None:
    """Refuse a circuit of another graph than the model's.

    Raises: WrongModel.
    """
    if model.graph != circuit.graph:
        raise WrongModel(
            f"the circuit is of a model with {circuit.graph.describe()} and width {circuit.graph.d_model}, but "
            f"{name_of(model)} has {model.graph.describe()} and width {model.graph.d_model}; give the circuit's own "
            "model (--model)"
        )
