"""`acdc attack`: where does a circuit fail?"""

from __future__ import annotations

import json as jsons
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acdc.cli import terminal
from acdc.cli.exits import Exit, report
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
    from acdc.attacks.found import Attack
    from acdc.cli.destination import WrittenFiles
    from acdc.settings import Setup
    from graphs.circuit import Circuit

_CHECKPOINT = "attack-checkpoint.json"


def attack(
    circuit: CircuitPath,
    task: ItsTask = None,
    model: ItsModel = None,
    ablation: ItsAblation = None,
    only: Annotated[
        str | None, option("--only", takes="PARTS", is_="Only these parts, see below, with commas between [all]")
    ] = None,
    prompts: Annotated[int, option("--prompts", takes="N", is_="Prompts of every variation [64]")] = 64,
    cross: Annotated[
        int | None, option("--cross", takes="N", is_="Cross N clean with N corrupt prompts [those that judge it]")
    ] = None,
    budget: Annotated[int, option("--budget", takes="N", is_="Prompts that the search tests [1000]")] = 1000,
    seed: Annotated[int, option("--seed", takes="N", is_="Seed of the search and of the intervals [0]")] = 0,
    diagnose: Annotated[int, option("--diagnose", takes="N", is_="Seek repairs of the N worst cases [3]")] = 3,
    device: Device = "cpu",
    dtype: ItsDtype = None,
    anyway: Anyway = False,
    fail_above: Annotated[
        float | None, option("--fail-above", takes="KL", is_="Exit with 1 if the worst KL found is above this")
    ] = None,
    resume: Annotated[bool, flag("--resume", is_="Go on where an interrupted run left its checkpoint")] = False,
    out: Annotated[
        Path | None, option("--out", "-o", takes="DIR", is_="Where attack.json goes [the circuit's directory]")
    ] = None,
    json: AsJson = False,
) -> None:
    """Look for prompts on which the model is right and a circuit is not.

    What is found is written to attack.json, and the edges that would repair it are drawn into repair.svg and .png. The
    same seed and budget find the same again. A part that fails is left out, told, and tried again with --resume.
    """
    from acdc.attacks.attack import attack_circuit
    from acdc.attacks.file import circuit_hash
    from acdc.attacks.plan import PARTS, AttackPlan, parts
    from acdc.cli.destination import ATTACK, REPAIR, Destination
    from acdc.cli.evaluate import setup_of
    from acdc.cli.interruption import interruptible
    from acdc.cli.progress import watching
    from acdc.cli.runs import interrupted, of_attack, room
    from acdc.report.attack import tables
    from acdc.request import recordable
    from graphs.circuit import Circuit

    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise BadSetting(f"--fail-above is {fail_above:g}; wanted a KL divergence in nats, such as 1.0")
    tried = PARTS if only is None else parts([name.strip() for name in only.split(",")])
    plan = AttackPlan(seed, budget, cross, prompts, diagnose, tried)
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    given = {"ablation": ablation, "dtype": dtype}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    setup = replace(setup_of(loaded, named=bool(task and model)), device=device, **changes)
    directory, further = out if out is not None else file.parent, None if out is not None else file.parent / "attack"
    recordable(os.path.relpath(file, directory))
    kept = {"circuit": [edge.name for edge in loaded.ordered()], "plan": plan.to_json()}
    if resume:
        directory = interrupted(directory, kept, _CHECKPOINT, further=further)
    Destination(directory).check((ATTACK, *REPAIR))
    wanted = {"circuit": {"hash": circuit_hash(loaded)}, "plan": plan.to_json(), **_named(loaded, task, model, setup)}
    if anyway:
        wanted["model"]["weights"] = None  # it is not known yet whether they are those of the attack there
    foreign = of_attack(wanted, None if resume else kept, _CHECKPOINT)
    place = room(directory, foreign, named=resume or out is not None, further=further)
    with watching(quiet=False) as watch, place as destination:
        checkpoint = destination.directory / _CHECKPOINT
        watch.stage("loading the model")
        with interruptible(checkpoint):
            found = attack_circuit(
                loaded,
                task=task,
                model=model,
                setup=setup,
                plan=plan,
                anyway=anyway,
                watch=watch.pruning,
                tell=terminal.note,
                checkpoint=checkpoint,
                resume=resume,
            )
        about = found.origin.title
        watch.stage("drawing what repairs it")
        data = found.to_json()
        data["circuit"] = {"file": os.path.relpath(file, destination.directory), **data["circuit"]}
        text = jsons.dumps(data, indent=1, allow_nan=False) + "\n"
        written = destination.write_attack(text, loaded, found.repaired, f"What repairs {about}")
        if not found.left_out.failed:
            checkpoint.unlink(missing_ok=True)
    if json:
        terminal.write_json(data)
    else:
        terminal.parts(tables(found, about))
        _say_where(found, written)
    if code := _exit_code(found, fail_above):
        raise typer.Exit(code)
    if written.undrawn:
        raise written.undrawn


def _say_where(found: Attack, written: WrittenFiles) -> None:
    """The files written, and what can be done with the worst case."""
    file = written.files[0]
    names = ", ".join(path.name for path in written.files)
    out = terminal.results()
    out.print(f"\nWritten to {file.parent}: {names}", soft_wrap=True)
    if found.found.worst:
        pinned = f"test_{found.origin.task.name if found.origin.task else 'circuit'}.acdc.yaml"
        out.print(f"Next: acdc pin {terminal.quoted(file)} {pinned}", soft_wrap=True)


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


def _named(circuit: Circuit, task: str | None, model: str | None, setup: Setup) -> dict[str, Any]:
    """What an attack's file will say of what it was measured with, as far as that is known before anything is loaded.

    Where task or model are given, another attack on them is one on other prompts or weights, for all that is known.
    """
    from acdc.provenance import Provenance
    from graphs.ablation import Ablation

    own = Provenance.of(circuit).measurement()
    return {
        "ablation": Ablation(setup.ablation).value,
        "prompts": {"count": setup.prompts, "seed": setup.seed},
        "task": own.get("task", {}) if task is None else {"file": None, "name": None},
        "model": {**own.get("model", {}), "dtype": setup.dtype} if model is None else {"weights": None},
        **({"metric": {"name": setup.metric}} if setup.metric is not None else {}),
    }
