"""`acdc evaluate`: does a circuit still do what the model does?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from acdc import tasks
from acdc.cli import options as given
from acdc.cli import run_page, terminal
from acdc.cli.exits import Exit
from acdc.cli.options import circuit_file
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadCircuitFile
from acdc.judges.completeness import completeness
from acdc.judges.faithfulness import faithfulness
from acdc.judges.sensitivity import AT_LEAST
from acdc.settings import Setup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from acdc.cli.progress import ProgressDisplay
    from acdc.correctness import Right
    from acdc.judges.assessment import AssessmentSubject, Section
    from acdc.judges.completeness import Completeness
    from acdc.judges.faithfulness import Faithfulness
    from acdc.judges.findings import Findings
    from acdc.problem import Problem
    from acdc.provenance import ModelOrigin, Provenance


def evaluate(
    circuit: given.CircuitPath,
    task: given.ItsTask = None,
    model: given.ItsModel = None,
    metric: given.ItsMetric = None,
    ablation: given.ItsAblation = None,
    prompts: given.ItsPrompts = None,
    seed: given.ItsSeed = None,
    device: given.Device = "cpu",
    dtype: given.ItsDtype = None,
    at_least: given.AtLeast = None,
    anyway: given.Anyway = False,
    full: given.Full = False,
    json: given.AsJson = False,
) -> None:
    """Measure how faithful and how complete a circuit is.

    What is not given is as when the circuit was found: the same prompts judge it again, so that the same model gives
    the same answer. What --full measures of a run's directory, with nothing given anew, is left there for its page.
    """
    from acdc.cli.progress import watching
    from acdc.correctness import Right
    from acdc.judges.assessment import AssessmentPlan, AssessmentSubject
    from acdc.judges.evaluation import judgement
    from acdc.judges.findings import Findings, incompleteness, warnings

    if at_least is not None and not 0 < at_least <= 1:
        raise BadSetting(f"--at-least is {at_least:g}; wanted a fraction above 0 and at most 1, such as 0.9")
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    findings = Findings.of(loaded, str(file))
    chosen = {"metric": metric, "prompts": prompts, "seed": seed}
    changes: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    own = setup_of(loaded, named=bool(task and model)).under(ablation)
    setup = replace(own.on(device, dtype), **changes)
    with watching(quiet=not full) as watch:
        watch.stage("loading the model")
        problem = judgement(
            loaded, task=task, model=model, setup=setup, anyway=anyway, tell=terminal.note, watch=watch.pruning
        )
        watch.stage("measuring how faithful it is")
        judged, right = faithfulness(problem, loaded, setup.seed), Right.on(problem)
        complete = completeness(problem, loaded, watch=watch.pruning) if loaded.edges else None
        plan = AssessmentPlan(at_least or AT_LEAST, setup.seed)
        case = AssessmentSubject(problem, findings, judged, complete, plan, watch.pruning)
        sections = _asked(case, watch) if full else []
    measured = _Measured(judged, complete, right, setup, sections)
    on = _measured_on(findings.origin, setup, task, _origin(model, problem) if model else None)
    passed = at_least is None or judged.normalised.value >= at_least
    given_anew = anyway or changes or task or model or dtype
    kept = _kept(circuit, findings, measured, plan.at_least) if full and circuit.is_dir() and not given_anew else ()
    if json:
        check = {} if at_least is None else {"at_least": at_least, "passed": passed}
        terminal.write_json({"circuit": str(file), **measured.to_json(), **check})
    else:
        _show(findings, measured, on)
        if kept:
            terminal.written(kept)
    for warning in (*warnings(judged, on.metric), *incompleteness(complete)):
        terminal.warn(warning)
    if not passed:
        terminal.fail(f"the circuit keeps {judged.normalised.value:.1%}, less than the {at_least:.1%} of --at-least")
        raise typer.Exit(Exit.FAILED_CHECK)


@dataclass(frozen=True)
class _Measured:
    """What was measured, with what; `sections` are there where everything was asked."""

    judged: Faithfulness
    complete: Completeness | None
    right: Right
    setup: Setup
    sections: Sequence[Section]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "faithfulness": self.judged.to_json(),
            "prompts": {**self.right.to_json(), "only_correct": self.setup.only_correct},
            "completeness": self.complete.to_json() if self.complete else None,
            **(_assessed(self.sections) if self.sections else {}),
        }


def _kept(run: Path, findings: Findings, measured: _Measured, at_least: float) -> tuple[Path, ...]:
    """The files in the run's directory that now hold what was measured."""
    from acdc.report.page.data import subject_of

    of = subject_of(findings)
    return run_page.keep(run, "evaluation.json", {**of, "at_least": at_least}, {"circuit": of, **measured.to_json()})


def setup_of(circuit: Circuit, *, named: bool) -> Setup:
    """The setup in a circuit's record; the usual one where there is none, but task and model have been given."""
    from acdc.provenance import Provenance

    try:
        return Provenance.of(circuit).setup()
    except BadCircuitFile:
        if not named:
            raise
        terminal.warn("the file does not say how its circuit was found; what is not given here has its usual value")
        return Setup()


def _origin(model: str, problem: Problem) -> ModelOrigin:
    from acdc.provenance import ModelOrigin

    dtype = str(problem.model.dtype).removeprefix("torch.")
    return ModelOrigin(name=model, dtype=dtype, quantisation=problem.model.identity.quantisation)


def _measured_on(found: Provenance, setup: Setup, task: str | None, model: ModelOrigin | None) -> Provenance:
    """What the circuit has been measured on: what it was found on, less what has been given anew."""
    from acdc.provenance import MetricOrigin, TaskOrigin
    from acdc.tasks.metrics import metric

    named = tasks.get(task) if task else None
    name = setup.metric or (named.metric if named else None)
    chosen = metric(name) if name else None
    anew = {
        "task": TaskOrigin(name=named.name, about=named.about.sentence) if named else None,
        "model": model,
        "metric": MetricOrigin(name=chosen.name, meaning=chosen.meaning) if chosen else None,
    }
    return found.model_copy(update={part: origin for part, origin in anew.items() if origin is not None})


def _asked(case: AssessmentSubject, watch: ProgressDisplay) -> list[Section]:
    from acdc.judges.assessment import assess

    sections = []
    for section in assess(case):
        watch.stage(f"{section.question}: {section.verdict}")
        sections.append(section)
    return sections


def _assessed(sections: Sequence[Section]) -> dict[str, Any]:
    from acdc.judges.assessment import verdict

    return {"verdict": verdict(sections), "sections": [section.to_json() for section in sections]}


def _show(findings: Findings, measured: _Measured, on: Provenance) -> None:
    from acdc.judges.assessment import verdict as over_all
    from acdc.report.assessment import tables
    from acdc.report.table import headline, levels, verdict

    judged, sections = measured.judged, measured.sections
    terminal.parts(
        (
            headline(on),
            verdict(findings, judged, measured.complete, measured.setup, on.metric, measured.right),
            levels(judged, on.metric),
            *(tables(sections, over_all(sections)) if sections else ()),
        )
    )
