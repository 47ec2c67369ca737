"""`acdc evaluate`: does a circuit still do what the model does?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acdc.cli import terminal
from acdc.cli.exits import Exit
from acdc.cli.options import (
    Anyway,
    AsJson,
    CircuitPath,
    Device,
    ItsAblation,
    ItsDtype,
    ItsModel,
    ItsTask,
    circuit_file,
    flag,
    option,
)
from acdc.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acdc.cli.progress import ProgressDisplay
    from acdc.correctness import Right
    from acdc.judges.assessment import AssessmentSubject, Section
    from acdc.judges.completeness import Completeness
    from acdc.judges.faithfulness import Faithfulness
    from acdc.judges.findings import Findings
    from acdc.provenance import Provenance
    from acdc.settings import Setup
    from graphs.circuit import Circuit


def evaluate(
    circuit: CircuitPath,
    task: ItsTask = None,
    model: ItsModel = None,
    metric: Annotated[
        str | None, option("--metric", takes="NAME", is_="What is measured, see below [the circuit's]")
    ] = None,
    ablation: ItsAblation = None,
    prompts: Annotated[int | None, option("--prompts", takes="N", is_="Prompts to judge it on [the circuit's]")] = None,
    seed: Annotated[
        int | None, option("--seed", takes="N", is_="Seed that the prompts are drawn with [the circuit's]")
    ] = None,
    device: Device = "cpu",
    dtype: ItsDtype = None,
    at_least: Annotated[
        float | None, option("--at-least", takes="F", is_="Exit with 1 if less than this fraction is kept")
    ] = None,
    anyway: Anyway = False,
    full: Annotated[bool, flag("--full", is_="Ask everything, by all ablations and metrics; a verdict")] = False,
    json: AsJson = False,
) -> None:
    """Measure how faithful and how complete a circuit is.

    What is not given is as when the circuit was found: the same prompts judge it again, so that the same model gives
    the same answer.
    """
    from acdc.cli.progress import watching
    from acdc.correctness import Right
    from acdc.judges.assessment import AssessmentSubject
    from acdc.judges.completeness import completeness
    from acdc.judges.evaluation import judgement
    from acdc.judges.faithfulness import faithfulness
    from acdc.judges.findings import Findings, incompleteness, warnings
    from acdc.judges.sensitivity import AT_LEAST
    from graphs.circuit import Circuit

    if at_least is not None and not 0 < at_least <= 1:
        raise BadSetting(f"--at-least is {at_least:g}; wanted a fraction above 0 and at most 1, such as 0.9")
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    findings = Findings.of(loaded, str(file))
    given = {"metric": metric, "ablation": ablation, "prompts": prompts, "seed": seed, "dtype": dtype}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    setup = replace(setup_of(loaded, named=bool(task and model)), device=device, **changes)
    with watching(quiet=not full) as watch:
        watch.stage("loading the model")
        problem = judgement(loaded, task=task, model=model, setup=setup, anyway=anyway, tell=terminal.note)
        watch.stage("measuring how faithful it is")
        judged, right = faithfulness(problem, loaded, setup.seed), Right.on(problem)
        complete = completeness(problem, loaded, watch=watch.pruning) if loaded.edges else None
        case = AssessmentSubject(
            problem, findings, judged, complete, at_least or AT_LEAST, setup.seed, watch=watch.pruning
        )
        sections = _asked(case, watch) if full else []
    measured_on = _measured_on(findings.origin, setup, task, model)
    passed = at_least is None or judged.normalised.value >= at_least
    if json:
        check = {} if at_least is None else {"at_least": at_least, "passed": passed}
        gaps = {"completeness": complete.to_json() if complete else None}
        told = _assessed(sections) if full else {}
        on = {"prompts": {**right.to_json(), "only_correct": setup.only_correct}}
        terminal.write_json({"circuit": str(file), "faithfulness": judged.to_json(), **on, **gaps, **told, **check})
    else:
        _show(findings, judged, complete, setup, measured_on, sections, right)
    for warning in (*warnings(judged, measured_on.metric), *incompleteness(complete)):
        terminal.warn(warning)
    if not passed:
        terminal.fail(f"the circuit keeps {judged.normalised.value:.1%}, less than the {at_least:.1%} of --at-least")
        raise typer.Exit(Exit.FAILED_CHECK)


def setup_of(circuit: Circuit, *, named: bool) -> Setup:
    """The setup in a circuit's record; the usual one where there is none, but task and model have been given."""
    from acdc.provenance import Provenance
    from acdc.settings import Setup
    from graphs.errors import BadCircuitFile

    try:
        return Provenance.of(circuit).setup()
    except BadCircuitFile:
        if not named:
            raise
        terminal.warn("the file does not say how its circuit was found; what is not given here has its usual value")
        return Setup()


def _measured_on(found: Provenance, setup: Setup, task: str | None, model: str | None) -> Provenance:
    """What the circuit has been measured on: what it was found on, less what has been given anew."""
    import tasks
    from acdc.provenance import MetricOrigin, ModelOrigin, TaskOrigin
    from tasks.metrics import metric

    given = tasks.get(task) if task else None
    name = setup.metric or (given.metric if given else None)
    chosen = metric(name) if name else None
    anew = {
        "task": TaskOrigin(name=given.name, about=given.about.sentence) if given else None,
        "model": ModelOrigin(name=model, dtype=setup.dtype) if model else None,
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


def _show(
    findings: Findings,
    judged: Faithfulness,
    complete: Completeness | None,
    setup: Setup,
    measured_on: Provenance,
    sections: Sequence[Section],
    right: Right,
) -> None:
    from acdc.judges.assessment import verdict as over_all
    from acdc.report.assessment import tables
    from acdc.report.table import headline, levels, verdict

    terminal.parts(
        (
            headline(measured_on),
            verdict(findings, judged, complete, setup, measured_on.metric, right),
            levels(judged, measured_on.metric),
            *(tables(sections, over_all(sections)) if sections else ()),
        )
    )
