"""`acdc attack`: where does a circuit fail?"""

from __future__ import annotations

import json as jsons
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from acdc.attacks.plan import PARTS, AttackPlan, SearchPlan, parts
from acdc.cli import options as given
from acdc.cli import run_page, terminal
from acdc.cli.destination import ATTACK, REPAIR, Destination
from acdc.cli.evaluate import setup_of
from acdc.cli.exits import Exit, report
from acdc.cli.interruption import interruptible
from acdc.cli.options import circuit_file
from acdc.cli.run_directory import free_directory, interrupted, of_attack
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import Constants
from acdc.pieces.cluster import THIS_PROCESS, check_place

if TYPE_CHECKING:
    from pathlib import Path

    from acdc.attacks.found import Attack
    from acdc.cli.destination import WrittenFiles
    from acdc.settings import Setup

_CHECKPOINT = "attack-checkpoint.json"


def attack(
    circuit: given.CircuitPath,
    task: given.ItsTask = None,
    model: given.ItsModel = None,
    ablation: given.ItsAblation = None,
    only: given.OnlyParts = None,
    prompts: given.VariationPrompts = 64,
    cross: given.Cross = None,
    budget: given.SearchBudget = 1000,
    shards: given.SearchShards = 1,
    seed: given.SearchSeed = 0,
    diagnose: given.Diagnose = 3,
    device: given.Device = "cpu",
    on: given.OnPlace = THIS_PROCESS,
    dtype: given.ItsDtype = None,
    anyway: given.Anyway = False,
    fail_above: given.FailAbove = None,
    resume: given.Resume = False,
    out: given.AttackOut = None,
    json: given.AsJson = False,
) -> None:
    """Look for prompts on which the model is right and a circuit is not.

    What is found is written to attack.json, and the edges that would repair it are drawn into repair.svg and .png. The
    same seed and budget find the same again. A part that fails is left out, told, and tried again with --resume.
    """
    from acdc.report.attack import tables

    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise BadSetting(f"--fail-above is {fail_above:g}; wanted a KL divergence in nats, such as 1.0")
    tried = PARTS if only is None else parts([name.strip() for name in only.split(",")])
    plan = AttackPlan(seed, SearchPlan(budget, shards), cross, prompts, diagnose, tried)
    check_place(on)
    if on != THIS_PROCESS and shards == 1:
        raise BadSetting(
            f"--on {on} searches in several shards at once, and there is 1; give --shards N as well, or leave out --on"
        )
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    setup = setup_of(loaded, named=bool(task and model)).on(device, dtype).under(ablation)
    of = _Subject(file, loaded, task, model, setup, anyway)
    found, data, written = _attacked(of, plan, out, on, resume=resume)
    written = replace(written, files=(*written.files, *run_page.refresh(written.files[0].parent)))
    if json:
        terminal.write_json(data)
    else:
        terminal.parts(tables(found, found.origin.title))
        _say_where(found, written)
    if code := _exit_code(found, fail_above):
        raise typer.Exit(code)
    if written.undrawn:
        raise written.undrawn


@dataclass(frozen=True)
class _Subject:
    """What is attacked: a circuit from a file, on its own task and model unless others are named."""

    file: Path
    circuit: Circuit
    task: str | None
    model: str | None
    setup: Setup
    anyway: bool


def _attacked(
    on: _Subject, plan: AttackPlan, out: Path | None, at: str, *, resume: bool
) -> tuple[Attack, dict[str, Any], WrittenFiles]:
    """The attack, its file's content and what was written; `out` is the directory that the user named."""
    from acdc.attacks.attack import attack_circuit
    from acdc.cli.placing import placed
    from acdc.cli.progress import watching
    from acdc.request import recordable

    directory, further = (on.file.parent, on.file.parent / "attack") if out is None else (out, None)
    recordable(os.path.relpath(on.file, directory))
    kept = {"circuit": [edge.name for edge in on.circuit.ordered()], "plan": plan.to_json()}
    if resume:
        directory = interrupted(directory, kept, _CHECKPOINT, further=further)
    Destination(directory).check((ATTACK, *REPAIR))
    obstacle = of_attack(_wanted(on, plan), None if resume else kept, _CHECKPOINT)
    free = free_directory(directory, obstacle, named=resume or out is not None, further=further)
    with watching(quiet=False) as watch, placed(at, watch) as where, free as destination:
        checkpoint = destination.directory / _CHECKPOINT
        watch.stage("loading the model")
        with interruptible(checkpoint):
            found = attack_circuit(
                on.circuit,
                task=on.task,
                model=on.model,
                setup=on.setup,
                plan=plan,
                anyway=on.anyway,
                watch=watch.pruning,
                tell=terminal.note,
                checkpoint=checkpoint,
                resume=resume,
                place=where,
            )
        watch.stage("drawing what repairs it")
        data = found.to_json()
        data["circuit"] = {"file": os.path.relpath(on.file, destination.directory), **data["circuit"]}
        text = jsons.dumps(data, indent=1, allow_nan=False) + "\n"
        said = found.origin.constants
        constants = None if said is None else Constants.from_json(said.to_json())
        title = f"What repairs {found.origin.title}"
        written = destination.write_attack(text, on.circuit, found.repaired, title, constants)
        if not found.left_out.failed:
            checkpoint.unlink(missing_ok=True)
    return found, data, written


def _say_where(found: Attack, written: WrittenFiles) -> None:
    """The files written, and what can be done with the worst case."""
    terminal.written(written.files)
    if found.found.worst:
        pinned = f"test_{found.origin.task.name if found.origin.task else 'circuit'}.acdc.yaml"
        terminal.results().print(f"Next: acdc pin {terminal.quoted(written.files[0])} {pinned}", soft_wrap=True)


def _exit_code(found: Attack, fail_above: float | None) -> int:
    """The exit code, the reasons for one that is not 0 told; a part that failed matters most."""
    code = 0
    worst = found.found.worst[0].kl if found.found.worst else 0.0
    if fail_above is not None and worst > fail_above:
        terminal.fail(f"the worst KL found is {worst:.3g} nats, more than the {fail_above:g} of --fail-above")
        code = Exit.FAILED_CHECK
    for part, error in found.left_out.failed.items():
        terminal.warn(f"{part} failed and is left out of the result; try it again with --resume once this is mended:")
        code = max(code, report(error))
    return code


def _wanted(on: _Subject, plan: AttackPlan) -> dict[str, Any]:
    """What the attack's file will say of what it is of, as far as that is known before anything is loaded.

    Where task or model are given, another attack on them is one on other prompts or weights, for all that is known.
    """
    from acdc.attacks.file import circuit_hash
    from acdc.provenance import Provenance

    own, setup = Provenance.of(on.circuit).measurement(), on.setup
    model = {**own.get("model", {}), "dtype": setup.compute.dtype} if on.model is None else {"weights": None}
    if on.anyway:
        model["weights"] = None  # it is not known yet whether they are those of the attack there
    return {
        "circuit": {"hash": circuit_hash(on.circuit)},
        "plan": plan.to_json(),
        "ablation": Ablation(setup.ablation).value,
        "prompts": {"count": setup.prompts, "seed": setup.seed},
        "task": own.get("task", {}) if on.task is None else {"file": None, "name": None},
        "model": model,
        **({"metric": {"name": setup.metric}} if setup.metric is not None else {}),
    }
