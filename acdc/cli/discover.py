"""`acdc discover`: a behaviour in, a circuit out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acdc.cli import terminal
from acdc.cli.exits import Exit
from acdc.cli.options import AsJson, Device, argument, flag, option
from acdc.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from acdc.discovery.cost import Forecast
    from acdc.judges.findings import Findings
    from acdc.robust.rounds import RobustPlan
    from acdc.settings import Goal, Method, Setup
    from tasks.task import Task

_SHOWN_EDGES = 10


def discover(
    task: Annotated[str, argument("TASK_OR_FILE", is_="A task's name (see `acdc tasks`) or a behaviour file.")],
    model: Annotated[
        str | None,
        option("--model", "-m", takes="NAME", is_="Shipped model, directory or hub name [the task's]"),
    ] = None,
    method: Annotated[str, option("--method", takes="NAME", is_="How to search, see below [acdc]")] = "acdc",
    faithfulness: Annotated[
        float | None,
        option("--faithfulness", takes="F", is_="Goal: the smallest circuit that keeps this fraction [0.9]"),
    ] = None,
    kl: Annotated[
        float | None,
        option("--kl", takes="NATS", is_="Goal: the smallest within this mean KL of the model"),
    ] = None,
    accuracy: Annotated[
        float | None,
        option("--accuracy", takes="F", is_="Goal: the smallest that keeps this part of the accuracy"),
    ] = None,
    edges: Annotated[
        int | None, option("--edges", takes="N", is_="Goal: the most faithful circuit of at most N edges")
    ] = None,
    threshold: Annotated[
        float | None, option("--threshold", takes="X", is_="Goal: every edge is worth X units of the metric")
    ] = None,
    metric: Annotated[
        str | None, option("--metric", takes="NAME", is_="What is measured, see below [the task's]")
    ] = None,
    ablation: Annotated[
        str, option("--ablation", takes="KIND", is_="What missing edges carry, see below [resample]")
    ] = "resample",
    refine: Annotated[bool, flag("--refine", is_="Then go on until no single edge can be dropped")] = False,
    select: Annotated[
        str | None, option("--select", takes="RULE", is_="Scored edges: top, or greedy from the logits back [top]")
    ] = None,
    robust: Annotated[bool, flag("--robust", is_="Then attack it and learn from what makes it fail")] = False,
    budget: Annotated[
        int | None, option("--budget", takes="N", is_="Robust: prompts that each attack tests [1000]")
    ] = None,
    bound: Annotated[
        float | None, option("--bound", takes="NATS", is_="Robust: learn from prompts of a higher KL than this [0.1]")
    ] = None,
    growth: Annotated[
        float | None, option("--growth", takes="X", is_="Robust: at most X times the edges it had before [1.5]")
    ] = None,
    steps: Annotated[
        int | None, option("--steps", takes="N", is_="Points on a path of integrated gradients [5]")
    ] = None,
    prompts: Annotated[
        int, option("--prompts", takes="N", is_="Prompts to find it with, and as many to judge it [64]")
    ] = 64,
    seed: Annotated[int, option("--seed", takes="N", is_="Seed of the prompts, and of masks and random [0]")] = 0,
    only_correct: Annotated[bool, flag("--only-correct", is_="Leave out prompts that the model gets wrong")] = False,
    device: Device = "cpu",
    dtype: Annotated[
        str, option("--dtype", takes="NAME", is_="float64, float32, bfloat16 or float16 [float32]")
    ] = "float32",
    max_memory: Annotated[
        float, option("--max-memory", takes="GB", is_="About how much a batch of trials may take [1.0]")
    ] = 1.0,
    dry_run: Annotated[bool, flag("--dry-run", is_="Only tell what it would cost, from half a minute of it")] = False,
    resume: Annotated[bool, flag("--resume", is_="Go on where an interrupted run left its checkpoint")] = False,
    out: Annotated[
        Path | None, option("--out", "-o", takes="DIR", is_="Where the files go [runs/<task>-<model>]")
    ] = None,
    quiet: Annotated[bool, flag("--quiet", "-q", is_="No progress, and only the essential lines")] = False,
    json: AsJson = False,
) -> None:
    """Find the circuit of a behaviour.

    Edges that do not matter are dropped until what is left just meets the goal. It is judged on prompts of its own, and
    written to circuit.json, .dot, .svg and .png.
    """
    from acdc.settings import Setup

    goal = _goal(Threshold=threshold, Edges=edges, MeanKL=kl, KeptAccuracy=accuracy, KeptFaithfulness=faithfulness)
    how = _method(method, max_memory, {"refine": refine or None, "select": select, "steps": steps})
    setup = Setup(metric, ablation, prompts, seed, device, dtype, only_correct)
    plan = _plan(robust, dry_run, {"budget": budget, "bound": bound, "growth": growth})
    if dry_run and resume:
        raise BadSetting("--dry-run tells what a whole run costs and --resume goes on with one; give one of them")

    import tasks
    from acdc.cli.destination import Destination
    from acdc.cli.interruption import interruptible
    from acdc.cli.progress import watching
    from acdc.cli.runs import interrupted, of_discovery, room
    from acdc.discovery.discover import default_directory, prepare
    from acdc.judges.findings import Findings, doubts, nothing_found, other_form, warnings
    from acdc.models import resolve
    from acdc.report.table import price
    from acdc.robust.learning import discover_robust

    named = tasks.get(task)
    on = model or named.model
    resolve(on)  # what is misspelt is told before anything is loaded
    directory = out if out is not None else default_directory(named.name, on)
    Destination(directory).check()
    with watching(quiet=quiet) as watch:
        watch.stage(f"loading {on}")
        if dry_run:
            cost = _cost(named, on, setup, how, goal)
            watch.stage("measured")
        else:
            ready = prepare(task, model, method=how, goal=goal, setup=setup)
            foreign = of_discovery(ready.request, asdict(plan) if plan else None, resume=resume)
            if resume and out is None:
                directory = interrupted(directory, ready.request)
            with (
                room(directory, foreign, named=resume or out is not None) as destination,
                interruptible(destination.checkpoint),
            ):
                kept: dict[str, Any] = {
                    "watch": watch.pruning,
                    "checkpoint": destination.checkpoint,
                    "resume": resume,
                }
                refined = None
                if plan:
                    asked: dict[str, Any] = {"method": how, "goal": goal, "setup": setup, "plan": plan, **kept}
                    refined = discover_robust(task, model, tell=lambda told: watch.line(told.line), **asked)
                result = refined.result if refined else ready.run(**kept)
                findings = Findings.of(result.circuit)
                if result.circuit.edges:
                    watch.stage("drawing the circuit")
                    written = destination.write(result.circuit, findings.origin.title)
                destination.forget()
    if dry_run:
        terminal.write_json(cost.to_json()) if json else terminal.results().print(price(cost, how.name))
        return
    if json:
        terminal.write_json(result.circuit.to_json())
    if not result.circuit.edges:
        terminal.fail(nothing_found(result.circuit))
        raise typer.Exit(Exit.FAILED_CHECK)
    if json:
        pass
    elif quiet:
        _show_essentials(findings, written.files[0])
    else:
        _show(findings, written.files)
    if refined and not json:
        terminal.results().print(f"Robust: {refined.verdict}; {refined.stop.value}", soft_wrap=True)
    told = (*warnings(result.faithfulness, findings.origin.metric), *doubts(findings.origin.algorithm))
    for warning in (*told, *other_form(findings.outcome.answer_form)):
        terminal.warn(warning)
    if written.undrawn:
        raise written.undrawn


_MOST_MEMORY = 1e6
"""In GB; no machine has more."""


def _method(name: str, max_memory: float, given: Mapping[str, Any]) -> Method:
    """The method with the settings that were given (None: not), all of which it must look at."""
    from acdc.settings import Method

    if not 0 < max_memory <= _MOST_MEMORY:
        raise BadSetting(f"--max-memory is {max_memory:g}; wanted a number of gigabytes, such as 1.0")
    settings: dict[str, Any] = {setting: value for setting, value in given.items() if value is not None}
    method = Method(name, **settings, max_bytes=int(max_memory * 1e9))
    for setting in settings:
        method.require_taken(setting)
    return method


def _plan(robust: bool, dry_run: bool, given: Mapping[str, float | None]) -> RobustPlan | None:
    from acdc.robust.rounds import RobustPlan

    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if settings and not robust:
        raise BadSetting(f"--{next(iter(settings))} is a setting of --robust; give both or neither")
    if robust and dry_run:
        raise BadSetting("what --robust costs depends on what each attack finds; use --dry-run without it")
    return RobustPlan(**settings) if robust else None


def _cost(task: Task, model: str, setup: Setup, method: Method, goal: Goal) -> Forecast:
    from acdc.discovery.cost import forecast
    from acdc.discovery.discover import measured_for
    from acdc.models import load_named
    from acdc.problems import HELD, check_prompts, problems

    setup = measured_for(goal, method, setup)
    check_prompts(task, model, setup)
    return forecast(problems(task, load_named(model, setup), setup, HELD * method.max_bytes)[0], method, goal)


_GOALS = {
    "Threshold": "--threshold",
    "Edges": "--edges",
    "MeanKL": "--kl",
    "KeptAccuracy": "--accuracy",
    "KeptFaithfulness": "--faithfulness",
}


def _goal(**given: float | int | None) -> Goal:
    """The one goal that was asked for, by its kind; the default where none was."""
    from acdc.settings import GOALS, KeptFaithfulness

    asked = {kind: value for kind, value in given.items() if value is not None}
    if len(asked) > 1:
        named = " and ".join(f"{_GOALS[kind]} {value}" for kind, value in asked.items())
        raise BadSetting(f"a circuit can be found for one goal only: got {named}, wanted one; drop one")
    for kind, value in asked.items():
        make: Callable[[float], Goal] = GOALS[kind]
        return make(value)
    return KeptFaithfulness()


def _show(findings: Findings, files: tuple[Path, ...]) -> None:
    from acdc.report.table import account

    terminal.parts(account(findings, _SHOWN_EDGES))
    directory = files[0].parent
    again = terminal.quoted(directory)
    terminal.results().print(
        f"\nWritten to {directory}: {', '.join(file.name for file in files)}\n"
        f"Next: acdc show {again} --top 50\n"
        f"      acdc evaluate {again} --prompts 256",
        soft_wrap=True,
    )


def _show_essentials(findings: Findings, file: Path) -> None:
    from acdc.report.table import essence

    out = terminal.results()
    out.print(essence(findings), soft_wrap=True)
    out.print(str(file), soft_wrap=True)
