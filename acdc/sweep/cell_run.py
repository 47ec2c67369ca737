"""One cell of a grid from its settings to its files: the circuit, and what is then asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from acdc import tasks
from acdc.attacks.attack import attack
from acdc.discovery import joining_file
from acdc.discovery.discover import Prepared, Result, prepare
from acdc.discovery.rediscover import rediscover
from acdc.errors import AcdcError, DownloadFailed, MissingExtra, NoCluster, UnusableCache, UnwritableOutput
from acdc.explain.explanation import explain
from acdc.explain.summary import summary
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import GraphsError, ModelUnreachable
from acdc.graphs.model import Model
from acdc.hashes import edges_hash
from acdc.hypotheses.session import run as claims_of
from acdc.judges.assessment import AssessmentPlan, AssessmentSubject, assess, verdict
from acdc.judges.completeness import completeness
from acdc.judges.findings import Findings, nothing_found, warnings
from acdc.models import check_device
from acdc.request import Request
from acdc.sweep.cell import SweepCell
from acdc.sweep.loaded_model import LoadedModel, doubts
from acdc.tasks.errors import BrokenPlugin, TaskError

_OF_THE_MACHINE = (
    ModelUnreachable,
    DownloadFailed,
    UnusableCache,
    MissingExtra,
    NoCluster,
    UnwritableOutput,
    BrokenPlugin,
)
"""What a machine lacks today it may have tomorrow: no result, unlike what task, model or method do not allow."""


def run_cell(cell: SweepCell, loaded: LoadedModel, room: Path) -> dict[str, Any]:
    """The record of a cell, as plain JSON data, after its files have been written into `room`.

    What the task, the model or the method does not allow is a result too: `refused` says why, and there is no circuit.

    Raises: `_OF_THE_MACHINE`; BadSetting for a device this machine lacks; OSError, MemoryError and torch's
    OutOfMemoryError; anything else is a fault of this package.
    """
    began, notes = perf_counter(), list[str]()
    check_device(cell.setup.compute.device)
    with _threads(cell.search.threads):
        try:
            model, doubtful = loaded.of(cell)
            notes += doubtful
            with doubts(notes):
                found = _found(cell, model, room, notes)
        except _OF_THE_MACHINE:
            raise
        except (AcdcError, GraphsError, TaskError) as error:
            found = {"status": "refused", "message": str(error)}
    told = {"notes": list(dict.fromkeys(notes))} if notes else {}
    return {"settings": cell.settings, **found, **told, "seconds": perf_counter() - began}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Inside, arithmetic uses so many threads: their number decides the last digits of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _found(cell: SweepCell, model: Model, room: Path, notes: list[str]) -> dict[str, Any]:
    task = cell.task.found_by
    ready = prepare(task, model, method=cell.search.method, goal=cell.search.goal, setup=cell.setup)
    notes += ready.warnings
    result = ready.run()
    figures: dict[str, Any] = {"metric": ready.problems[0].metric.name, "faithfulness": result.faithfulness.to_json()}
    prompts = ready.origin.prompts
    if prompts is not None and prompts.judgement is not None:
        figures["right"] = {"right": prompts.judgement.right, "count": prompts.judgement.count}
    circuit = result.circuit
    notes += warnings(result.faithfulness, ready.origin.metric) if circuit.edges else (nothing_found(circuit),)
    if circuit.edges and cell.then.stability is not None:  # first: it is one of the questions of an evaluation
        resamples, seeds = cell.then.stability
        device = cell.setup.compute.device
        found = rediscover(circuit, resamples=resamples, seeds=seeds, device=device, model=model, tell=notes.append)
        circuit = found.noted_in(circuit)
        result = replace(result, circuit=circuit)
        figures["stability"] = circuit.provenance["stability"]
    if circuit.edges and cell.then.explain:
        circuit = _explained(cell, ready, circuit, room, notes)
        result = replace(result, circuit=circuit)
    for name, ask in _ASKED.items() if circuit.edges else ():
        answer = ask(cell, ready, result, room, notes)
        if answer is not None:
            figures[name] = answer
    circuit.save(room / "circuit.json")
    joining_file.write(room / joining_file.NAME, circuit.graph, result.joining)
    return {"status": "done", "figures": figures}


def _explained(cell: SweepCell, ready: Prepared, circuit: Circuit, room: Path, notes: list[str]) -> Circuit:
    """The circuit with the roles of its nodes, all else of which goes to explain.json; as it was where it has none."""
    choosing, keeping = ready.problems
    try:
        found = explain(circuit, choosing, keeping, tasks.get(cell.task.found_by), seed=cell.setup.seed)
    except (AcdcError, GraphsError, TaskError) as error:
        notes.append(f"it is not explained: {error}")
        return circuit
    _write(room / "explain.json", {"circuit": edges_hash(circuit), "summary": summary(found), **found.to_json()})
    return found.noted_in(circuit)


def _evaluated(
    cell: SweepCell, ready: Prepared, result: Result, room: Path, notes: list[str]
) -> Mapping[str, Any] | None:
    """The verdict over everything that can be asked, which goes to evaluation.json, as its page reads it."""
    if not cell.then.evaluate:
        return None
    judgement, circuit = ready.problems[1], result.circuit
    complete = completeness(judgement, circuit)
    plan = AssessmentPlan(seed=cell.setup.seed)
    sections = list(assess(AssessmentSubject(judgement, Findings.of(circuit), result.faithfulness, complete, plan)))
    data = {
        "faithfulness": result.faithfulness.to_json(),
        "completeness": complete.to_json(),
        "verdict": verdict(sections),
        "sections": [section.to_json() for section in sections],
    }
    _write(room / "evaluation.json", data)
    return {"verdict": data["verdict"]}


def _attacked(
    cell: SweepCell, ready: Prepared, result: Result, room: Path, notes: list[str]
) -> Mapping[str, Any] | None:
    """The worst case of an attack, all of which goes to attack.json.

    Raises: MemoryError and its like, where a part of the attack ran out of memory.
    """
    if cell.then.attack is None:
        return None
    model = ready.problems[1].model
    asked = Request.of(cell.task.found_by, model)
    setup = replace(cell.setup, metric=ready.problems[0].metric.name)  # which the goal may have chosen
    found = attack(asked.task, model, result.circuit, setup, cell.then.attack, asked=asked)
    for error in found.left_out.failed.values():
        if not isinstance(error, (AcdcError, GraphsError, TaskError)):
            raise error  # memory ran out, which is no result
    data = found.to_json()
    data["circuit"] = {"file": "circuit.json", **data["circuit"]}
    _write(room / "attack.json", data)
    notes += (f"{part} of the attack failed: {error}" for part, error in found.left_out.failed.items())
    worst = found.found.worst
    return {"worst_kl": worst[0].kl if worst else None}


def _claimed(
    cell: SweepCell, ready: Prepared, result: Result, room: Path, notes: list[str]
) -> Mapping[str, Any] | None:
    """How many claims of the hypothesis files about this task hold on this model; each goes to claims.json."""
    if not cell.then.hypotheses:
        return None
    files = [Path(file.found_by) for file in cell.then.hypotheses]
    counts, rows = {"passed": 0, "failed": 0, "errors": 0}, []
    for outcome in claims_of(files, ready.problems[1].model, tell=notes.append):
        holds = outcome.verdict is not None and outcome.verdict.passed
        counts["errors" if outcome.verdict is None else "passed" if holds else "failed"] += 1
        row: dict[str, Any] = {
            "file": str(outcome.file),
            "claim": outcome.claim and outcome.claim.name,
            "passed": holds,
        }
        row |= outcome.verdict.to_json() if outcome.verdict else {"error": str(outcome.error)}
        rows.append(row)
    _write(room / "claims.json", {**counts, "claims": rows})
    return counts


_Asks = Callable[[SweepCell, Prepared, Result, Path, list[str]], Mapping[str, Any] | None]
_ASKED: dict[str, _Asks] = {"evaluation": _evaluated, "attack": _attacked, "claims": _claimed}
"""What is asked of a circuit where the grid wants it, by the name of its figures."""


def _write(file: Path, data: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")
