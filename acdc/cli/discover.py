"""`acdc discover`: a behaviour in, a circuit out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from acdc import tasks
from acdc.cli import options as given
from acdc.cli import terminal
from acdc.cli.destination import Destination
from acdc.cli.dry_run import tell_cost
from acdc.cli.exits import Exit
from acdc.cli.interruption import interruptible
from acdc.cli.run_directory import free_directory, interrupted, of_discovery
from acdc.cli.showing import show_result
from acdc.discovery.defaults import PROMPTS, SPLIT_METHOD, Defaults, default_directory
from acdc.errors import AcdcError, BadSetting
from acdc.graphs.errors import GraphsError
from acdc.models import graph_of, resolve
from acdc.pieces.cluster import THIS_PROCESS, check_place
from acdc.robust.plan import RobustPlan
from acdc.settings import GOALS, Compute, Method, Setup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from acdc.cli.destination import WrittenFiles
    from acdc.cli.progress import ProgressDisplay
    from acdc.discovery.discover import Result
    from acdc.judges.findings import Findings
    from acdc.problem import Problem
    from acdc.robust.result import RobustResult
    from acdc.settings import Goal


def discover(
    task: given.Behaviour,
    model: given.OnModel = None,
    method: given.How = None,
    faithfulness: given.Faithful = None,
    kl: given.WithinKL = None,
    accuracy: given.Accurate = None,
    edges: given.AtMost = None,
    threshold: given.Worth = None,
    minutes: given.InMinutes = None,
    metric: given.Measured = None,
    ablation: given.Missing = "resample",
    positions: given.ByPosition = "none",
    split: given.SplitInto = None,
    parts_read: given.PartsRead = False,
    refine: given.Refine = False,
    select: given.Select = None,
    level: given.AtLevel = None,
    robust: given.Robust = False,
    budget: given.Budget = None,
    bound: given.Bound = None,
    growth: given.Growth = None,
    steps: given.Steps = None,
    prompts: given.Prompts = None,
    seed: given.Seed = 0,
    only_correct: given.OnlyCorrect = False,
    device: given.Device = "cpu",
    on: given.OnPlace = THIS_PROCESS,
    dtype: given.Precision = "float32",
    max_memory: given.MaxMemory = 1.0,
    dry_run: given.DryRun = False,
    sampled: given.Sampled = False,
    resume: given.Resume = False,
    out: given.Out = None,
    no_report: given.NoReport = False,
    quiet: given.Quiet = False,
    json: given.AsJson = False,
) -> None:
    """Find the circuit of a behaviour.

    Edges that do not matter are dropped until what is left just meets the goal. It is judged on prompts of its own, and
    written to circuit.json, .dot, .svg and .png, and as a page, report.html, to look at in a browser.
    """
    levels = {"MeanKL": kl, "KeptAccuracy": accuracy, "KeptFaithfulness": faithfulness}
    goal = _goal({"Threshold": threshold, "Edges": edges, "Minutes": minutes, **levels})
    count, compute = PROMPTS if prompts is None else prompts, Compute(device, dtype)
    finer: dict[str, Any] = {"positions": positions, "split": split or "", "parts_read": parts_read}
    setup = Setup(metric, ablation, count, seed, only_correct, compute, **finer)
    if dry_run and resume:
        raise BadSetting("--dry-run tells what a whole run costs and --resume goes on with one; give one of them")
    check_place(on)
    if on != THIS_PROCESS and (robust or dry_run):
        raise BadSetting(
            f"--on {on} has no meaning with {'--robust' if robust else '--dry-run'}; leave out one of them"
        )
    if sampled and not dry_run:
        raise BadSetting("--sampled says how --dry-run finds out what a run costs; give both or neither")
    plan = _plan(robust, dry_run, {"budget": budget, "bound": bound, "growth": growth})
    named = None if method is None else Method(method)
    where, loaded = _directory(task, model, out)
    if split and named is None:
        named = Method(SPLIT_METHOD)
    chosen = Defaults.of(graph_of(loaded), method=named, goal=goal, prompts=prompts)
    settings = {"refine": refine or None, "select": select, "level": level, "steps": steps}
    how = _method(chosen.method.name, max_memory, settings)
    asked = _Wanted(task, model, how, chosen.goal, replace(setup, prompts=chosen.prompts), plan)
    if chosen.why and not quiet and (sampled or not dry_run):
        terminal.errors().print(chosen.why, soft_wrap=True, highlight=False)
    if dry_run:
        tell_cost(task, loaded, replace(chosen, method=how), asked.setup, sampled=sampled, quiet=quiet, json=json)
        return
    if on != THIS_PROCESS:
        from acdc.discovery.search import require_sweep

        require_sweep(how, chosen.goal)
    found = _find(
        asked, _Where(loaded, where, on), named=out is not None, resume=resume, quiet=quiet, report=not no_report
    )
    _tell(found, quiet=quiet, json=json)


@dataclass(frozen=True)
class _Wanted:
    """What is to be found: of which task on which model, how, how much, measured with what, and how robust."""

    task: str
    model: str | None
    method: Method
    goal: Goal
    setup: Setup
    plan: RobustPlan | None


@dataclass(frozen=True)
class _Where:
    """The model by its full name, where the result goes, and where the runs of a sweep are made."""

    model: str
    directory: Path
    on: str


@dataclass(frozen=True)
class _Found:
    """What came of it, and where it is; without edges nothing is written."""

    result: Result
    findings: Findings
    robust: RobustResult | None
    written: WrittenFiles | None


def _directory(task: str, model: str | None, out: Path | None) -> tuple[Path, str]:
    """Where the result goes, and the model's name; what is misspelt or cannot be written is told before loading it."""
    named = tasks.get(task)
    on = model or named.model
    resolve(on)
    directory = out if out is not None else default_directory(named.name, on)
    Destination(directory).check()
    return directory, on


def _find(wanted: _Wanted, at: _Where, *, named: bool, resume: bool, quiet: bool, report: bool) -> _Found:
    """Find the circuit and write it; `named` says that the directory is the user's own choice."""
    directory = at.directory
    from acdc.cli.placing import placed
    from acdc.cli.progress import watching
    from acdc.discovery.discover import prepare
    from acdc.judges.findings import Findings
    from acdc.problems import settled
    from acdc.report.phrases import features
    from acdc.robust.learning import discover_robust

    settings: dict[str, Any] = {"method": wanted.method, "goal": wanted.goal, "setup": wanted.setup}
    with watching(quiet=quiet) as watch, placed(at.on, watch) as somewhere:
        watch.stage(f"loading {at.model}")
        ready = prepare(wanted.task, wanted.model, **settings, watch=watch.pruning)
        settings["setup"] = settled(wanted.setup, ready.problems[0])
        for warning in ready.warnings:
            terminal.warn(warning)
        if not quiet:
            for mlp, fit in features(ready.origin).items():
                terminal.note(f"{mlp}: {fit}")
        obstacle = of_discovery(ready.request, wanted.plan.to_json() if wanted.plan else None, resume=resume)
        if resume and not named:
            directory = interrupted(directory, ready.request)
        with (
            free_directory(directory, obstacle, named=resume or named) as destination,
            interruptible(destination.checkpoint),
        ):
            if ready.measured:
                watch.line(ready.measured)
            kept: dict[str, Any] = {"watch": watch.pruning, "checkpoint": destination.checkpoint, "resume": resume}
            robust = None
            if wanted.plan:
                asked: dict[str, Any] = {**settings, "plan": wanted.plan, **kept}
                robust = discover_robust(wanted.task, wanted.model, tell=lambda done: watch.line(done.line), **asked)
            result = robust.result if robust else ready.run(**kept, place=somewhere)
            findings = Findings.of(result.circuit)
            written = None
            if result.circuit.edges:
                watch.stage("drawing the circuit")
                written = destination.write(result.circuit, findings.origin.title, result.joining)
                if report:
                    watch.stage("measuring other sizes and single edges for report.html")
                    written = _with_page(written, result, ready.problems[1], watch)
            destination.forget()
    return _Found(result, findings, robust, written)


def _with_page(written: WrittenFiles, result: Result, problem: Problem, watch: ProgressDisplay) -> WrittenFiles:
    """The files with the page among them, and what was measured for it; where there can be none, it is told why."""
    from acdc.report.page.writing import write_page

    try:
        return replace(written, files=(*written.files, *write_page(written.files[0], result, problem, watch.pruning)))
    except (AcdcError, GraphsError, OSError) as error:
        terminal.warn(f"the circuit is written, but no page of it: {error}")
        return written


def _tell(found: _Found, *, quiet: bool, json: bool) -> None:
    """Show what was found and what is doubtful about it.

    Raises: typer.Exit where it is nothing; RenderError when it could not be drawn.
    """
    from acdc.judges.findings import nothing_found

    if found.written is None:
        if json:
            terminal.write_json(found.result.circuit.to_json())
        terminal.fail(nothing_found(found.result.circuit))
        raise typer.Exit(Exit.FAILED_CHECK)
    robust = f"Robust: {found.robust.verdict}; {found.robust.stop.value}" if found.robust else ""
    show_result(found.result, found.findings, found.written, quiet=quiet, json=json, robust=robust)


_MOST_MEMORY = 1e6
"""In GB; no machine has more."""


def _method(name: str, max_memory: float, chosen: Mapping[str, Any]) -> Method:
    """The method with the settings that were chosen (None: not), all of which it must look at."""
    if not 0 < max_memory <= _MOST_MEMORY:
        raise BadSetting(f"--max-memory is {max_memory:g}; wanted a number of gigabytes, such as 1.0")
    settings: dict[str, Any] = {setting: value for setting, value in chosen.items() if value is not None}
    method = Method(name, **settings, max_bytes=int(max_memory * 1e9))
    for setting in settings:
        method.require_taken(setting)
    return method


def _plan(robust: bool, dry_run: bool, chosen: Mapping[str, float | None]) -> RobustPlan | None:
    settings: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if settings and not robust:
        raise BadSetting(f"--{next(iter(settings))} is a setting of --robust; give both or neither")
    if robust and dry_run:
        raise BadSetting("what --robust costs depends on what each attack finds; use --dry-run without it")
    return RobustPlan(**settings) if robust else None


_GOALS = {
    "Threshold": "--threshold",
    "Edges": "--edges",
    "Minutes": "--minutes",
    "MeanKL": "--kl",
    "KeptAccuracy": "--accuracy",
    "KeptFaithfulness": "--faithfulness",
}


def _goal(chosen: Mapping[str, float | int | None]) -> Goal | None:
    """The one goal that was asked for, by its kind; None where none was."""
    asked = {kind: value for kind, value in chosen.items() if value is not None}
    if len(asked) > 1:
        named = " and ".join(f"{_GOALS[kind]} {value}" for kind, value in asked.items())
        raise BadSetting(f"a circuit can be found for one goal only: got {named}, wanted one; drop one")
    for kind, value in asked.items():
        make: Callable[[float], Goal] = GOALS[kind]
        return make(value)
    return None
