"""`acdc attack`: where does a circuit fail?"""

from __future__ import annotations

import json as jsons
import os
from dataclasses import replace
from pathlib import Path
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
    option,
)
from acdc.errors import BadSetting

if TYPE_CHECKING:
    from acdc.setup import Setup
    from graphs.circuit import Circuit


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
    out: Annotated[
        Path | None, option("--out", "-o", takes="DIR", is_="Where attack.json goes [the circuit's directory]")
    ] = None,
    json: AsJson = False,
) -> None:
    """Look for prompts on which the model is right and a circuit is not.

    What is found is written to attack.json, and the edges that would repair it are drawn into repair.svg and .png. The
    same seed and budget find the same again.
    """
    from acdc.adversary import attack_circuit
    from acdc.attacks.file import circuit_hash
    from acdc.attacks.plan import PARTS, Plan, parts
    from acdc.cli.destination import ATTACK, REPAIR, Destination
    from acdc.cli.evaluate import setup_of
    from acdc.cli.progress import watching
    from acdc.cli.runs import of_attack, room
    from acdc.report.attack import tables
    from graphs.circuit import Circuit

    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise BadSetting(f"--fail-above is {fail_above:g}; wanted a KL divergence in nats, such as 1.0")
    tried = PARTS if only is None else parts([name.strip() for name in only.split(",")])
    plan = Plan(seed, budget, cross, prompts, diagnose, tried)
    file = circuit_file(circuit)
    loaded = Circuit.load(file)
    given = {"ablation": ablation, "dtype": dtype}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    setup = replace(setup_of(loaded, named=bool(task and model)), device=device, **changes)
    directory = out if out is not None else file.parent
    Destination(directory).check((ATTACK, *REPAIR))
    wanted = {"circuit": {"hash": circuit_hash(loaded)}, "plan": plan.to_json(), **_named(loaded, task, model, setup)}
    if anyway:
        wanted["model"]["weights"] = None  # it is not known yet whether they are those of the attack there
    place = room(directory, of_attack(wanted), named=out is not None, further=directory / "attack")
    with watching(quiet=False) as watch, place as destination:
        watch.stage("loading the model")
        found = attack_circuit(
            loaded,
            task=task,
            model=model,
            setup=setup,
            plan=plan,
            anyway=anyway,
            watch=watch.pruning,
            tell=terminal.note,
        )
        about = f"{found.origin['task']['name']} on {found.origin['model']['name']}"
        watch.stage("drawing what repairs it")
        data = found.to_json()
        data["circuit"] = {"file": os.path.relpath(file, destination.directory), **data["circuit"]}
        text = jsons.dumps(data, indent=1, allow_nan=False) + "\n"
        written = destination.write_attack(text, loaded, found.repaired, f"What repairs {about}")
    if json:
        terminal.write_json(data)
    else:
        terminal.parts(tables(found, about))
        names = ", ".join(path.name for path in written.files)
        terminal.results().print(f"\nWritten to {destination.directory}: {names}", soft_wrap=True)
        if found.found.worst:
            again = terminal.quoted(destination.directory / ATTACK)
            terminal.results().print(
                f"Next: acdc pin {again} test_{found.origin['task']['name']}.acdc.yaml", soft_wrap=True
            )
    worst = found.found.worst[0].kl if found.found.worst else 0.0
    if fail_above is not None and worst > fail_above:
        terminal.fail(f"the worst KL found is {worst:.3g} nats, more than the {fail_above:g} of --fail-above")
        raise typer.Exit(Exit.FAILED_CHECK)
    if written.undrawn:
        raise written.undrawn


def _named(circuit: Circuit, task: str | None, model: str | None, setup: Setup) -> dict[str, Any]:
    """What an attack's file will say of what it was measured with, as far as that is known before anything is loaded.

    Where task or model are given, another attack on them is one on other prompts or weights, for all that is known.
    """
    from graphs.ablation import Ablation

    record: dict[str, Any] = {"ablation": Ablation(setup.ablation).value, "model": {"dtype": setup.dtype}}
    record["prompts"] = {"count": setup.prompts, "seed": setup.seed}
    if setup.metric is not None:
        record["metric"] = {"name": setup.metric}
    own = circuit.provenance
    record["task"] = own.get("task", {}) if task is None else {"file": None, "name": None}
    record["model"] = {**own.get("model", {}), "dtype": setup.dtype} if model is None else {"weights": None}
    return record
