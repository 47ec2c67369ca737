"""The problems that a task poses a model: one to find its circuit on, one to judge it by."""

from __future__ import annotations

from acdc.batch import Batching
from acdc.correctness import drawn
from acdc.features.split import split_model, with_reading_parts
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.models import tokenizer_of
from acdc.problem import Problem
from acdc.settings import Setup
from acdc.spans import by_position
from acdc.tasks.metrics import metric
from acdc.tasks.task import Task


def problems(task: Task, model: Model, setup: Setup, max_bytes: int | None = None) -> tuple[Problem, Problem]:
    """The discovery and the judgement problem of a task on a model, their runs held in at most `max_bytes` each.

    Edges are by position, and MLPs split, as the setup says, or as they are in the model's graph already.

    Raises: BadPrompts when the model's tokenizer cannot express enough prompts, or it gets too few of them right;
    BadSetting when edges by position are too many.
    """
    prompts = drawn(task, model, setup)
    if setup.positions == "slots" and not model.graph.spans:
        model = by_position(model, (prompts.discovery, prompts.judgement))
    if setup.split and not model.graph.splits:
        chosen_on = Problem(model.by_position(()), prompts.discovery, metric(setup.metric or task.metric))
        spans = model.graph.spans
        model = split_model(chosen_on, setup.split).by_position(spans)
        model = with_reading_parts(model) if setup.parts_read else model
    measured, ablation = metric(setup.metric or task.metric), Ablation(setup.ablation)
    batching = Batching(max_bytes=max_bytes)
    return (
        Problem(model, prompts.discovery, measured, ablation, batching),
        Problem(model, prompts.judgement, measured, ablation, batching),
    )


def check_prompts(task: Task, model: str, setup: Setup) -> None:
    """Refuse what the model's tokenizer or the metric cannot express before the weights are loaded, which takes longer.

    Raises: BadPrompts.
    """
    if (tokenizer := tokenizer_of(model)) is not None:
        prompts = task.build(tokenizer, setup.prompts, setup.seed)
        metric(setup.metric or task.metric).require(whole=prompts.discovery.whole)
