"""The problems that a task poses a model: one to find its circuit on, one to judge it by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from acdc.batch import Batching
from acdc.correctness import drawn
from acdc.drain import drain
from acdc.features.split import split_model, with_reading_parts
from acdc.graphs.ablation import Ablation
from acdc.graphs.constants import Constants
from acdc.graphs.model import Model
from acdc.learned_constants import learn
from acdc.models import tokenizer_of
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.settings import Setup
from acdc.spans import by_position
from acdc.tasks.metrics import metric
from acdc.tasks.task import Task


def problems(
    task: Task,
    model: Model,
    setup: Setup,
    max_bytes: int | None = None,
    *,
    watch: Callable[[Progress], None] | None = None,
) -> tuple[Problem, Problem]:
    """The discovery and the judgement problem of a task on a model, their runs held in at most `max_bytes` each.

    Edges are by position, and MLPs split, as the setup says, or as they are in the model's graph already. Under optimal
    ablation the setup gives the constants that missing edges carry, or they are learned, of which `watch` hears.

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
    constants = setup.ablation if isinstance(setup.ablation, Constants) else None
    discovery = Problem(model, prompts.discovery, measured, ablation, batching, constants)
    if ablation is Ablation.OPTIMAL and constants is None:
        constants = drain(learn(task, discovery, prompts.judgement, setup.seed), watch)
        discovery = replace(discovery, carried_from=constants)
    return discovery, replace(discovery, pairs=prompts.judgement)


def settled(setup: Setup, problem: Problem) -> Setup:
    """The setup with the constants that a problem of it has, if it has any, so that nothing is learned again."""
    constants = problem.carried_from
    return replace(setup, ablation=constants) if isinstance(constants, Constants) else setup


def check_prompts(task: Task, model: str, setup: Setup) -> None:
    """Refuse what the model's tokenizer or the metric cannot express before the weights are loaded, which takes longer.

    Raises: BadPrompts.
    """
    if (tokenizer := tokenizer_of(model)) is not None:
        prompts = task.build(tokenizer, setup.prompts, setup.seed)
        metric(setup.metric or task.metric).require(whole=prompts.discovery.whole)
