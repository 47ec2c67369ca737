"""Circuits, attribution and every search on a GPU: the oracle's logits, and the CPU's decisions and scores."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import acdc
from acdc import graphs, tasks
from acdc.algorithms.greedy import GreedyPruning
from acdc.attacks.plan import AttackPlan, SearchPlan
from acdc.discovery.search import search
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from acdc.methods import METHODS
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Edges, Method, Setup, Threshold
from acdc.tasks.metrics import metric
from acdc.tasks.prompts import PromptPairs
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import behaviour
from tests.acdc.cli.command_line import acdc as command_line
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits, oracle_outputs
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, random_circuits

ROTATION = 2e-6
"""How far numbers may be from the CPU's: models make rotary embeddings in float32, by the device's own cosine."""
LENGTHS = (4, 11, 4, 11, 11)
PLAN = AttackPlan(search=SearchPlan(60), prompts=4, diagnosed=1, crossed=8)
SAMPLED = ("masks", "random")
"""Methods that draw numbers on the model's device, of which a GPU has others."""


@cache
def on(device: torch.device, checkpoint: str, dtype: torch.dtype = torch.float64) -> Model:
    return graphs.load(checkpoint, dtype=dtype, device=device)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_random_circuits_agree_with_the_oracle(
    checkpoints: Checkpoints, architecture: Architecture, device: torch.device
) -> None:
    model = on(device, str(checkpoints.path(architecture)))
    bridge = load_bridge(checkpoints.ungrouped(architecture), str(device))
    edges = anatomy_of(bridge).edges()
    clean, corrupt, positions = (part.to(device) for part in (CLEAN, CORRUPT, POSITIONS))
    written = oracle_outputs(bridge, corrupt)
    for seed, ablation in enumerate(UNLEARNED):
        circuits = [set(edges), set(), *random_circuits(edges, 18, seed)]
        executor = Executor(model, clean, corrupt, positions, ablation)
        logits = executor.run([Circuit.from_names(model.graph, names) for names in circuits])
        for index, names in enumerate(circuits):
            wanted = oracle_logits(bridge, clean, corrupt, positions, names, ablation.value, written)
            assert (logits[index] - wanted).abs().max() < 1e-9, f"{ablation.value}, circuit {index}"


def both(
    checkpoints: Checkpoints, architecture: Architecture, device: torch.device, ablation: Ablation, measured: str
) -> tuple[Problem, Problem]:
    """The same problem on the CPU and on the device."""
    model = checkpoints.model(architecture)
    pairs: PromptPairs = behaviour(model, LENGTHS)
    there = on(device, str(checkpoints.path(architecture)))
    return Problem(model, pairs, metric(measured), ablation), Problem(there, pairs, metric(measured), ablation)


def effect(problem: Problem) -> float:
    """By how much the metric changes when nothing is left."""
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0].mean(-1)
    return abs(float(full - none))


@pytest.mark.parametrize("measured", ["kl", "logit_difference"])
@pytest.mark.parametrize("ablation", UNLEARNED)
@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama", "gemma3"])
def test_greedy_pruning_decides_as_on_the_cpu(
    checkpoints: Checkpoints, architecture: Architecture, ablation: Ablation, measured: str, device: torch.device
) -> None:
    here, there = both(checkpoints, architecture, device, ablation, measured)
    algorithm = GreedyPruning(0.05 * effect(here))
    wanted, got = algorithm.discover(here), algorithm.discover(there)
    assert 0 < len(wanted.circuit) < here.graph.n_edges
    assert got.circuit == wanted.circuit
    assert dict(got.circuit.scores) == pytest.approx(dict(wanted.circuit.scores), rel=0, abs=ROTATION)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SAMPLED])
def test_every_method_finds_what_it_finds_on_the_cpu(checkpoints: Checkpoints, name: str, device: torch.device) -> None:
    here, there = both(checkpoints, "llama", device, Ablation.RESAMPLE, "logit_difference")
    found = [ended(search(Method(name), Edges(20), 0).walk(problem))[0] for problem in (here, there)]
    assert 0 < len(found[0]) <= 20
    assert found[0] == found[1]
    assert dict(found[1].scores) == pytest.approx(dict(found[0].scores), rel=0, abs=ROTATION)


def test_masks_are_learned_where_the_model_is(checkpoints: Checkpoints, device: torch.device) -> None:
    _, there = both(checkpoints, "gpt2", device, Ablation.RESAMPLE, "kl")
    assert 0 < len(ended(search(Method("masks"), Edges(20), 0).walk(there))[0]) <= 20


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("task", ["agreement", "periodic", "siit_lookup", "planted_hops"])
def test_bounds_decide_as_measuring_does(task: str, dtype: str, device: torch.device) -> None:
    setup = Setup(prompts=8, metric="kl").on(str(device), dtype)
    problem = problems(tasks.get(task), load_named(tasks.get(task).model, setup), setup)[0]
    algorithm = GreedyPruning(0.02 * effect(problem))
    bounded = algorithm.discover(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acdc.algorithms.trials.KLScreen.suits", staticmethod(lambda problem: False))
        measured = algorithm.discover(problem)
    assert 0 < len(bounded.circuit) < problem.graph.n_edges
    assert bounded.circuit == measured.circuit


def test_a_discovery_is_judged_as_on_the_cpu(device: torch.device) -> None:
    here, there = (
        acdc.discover("periodic", goal=Threshold(0.3), setup=Setup(prompts=16).on(where, "float64"))
        for where in ("cpu", str(device))
    )
    assert there.circuit == here.circuit
    for wanted, got in zip(figures(here.faithfulness.to_json()), figures(there.faithfulness.to_json()), strict=True):
        assert got == pytest.approx(wanted, rel=0, abs=ROTATION)


def figures(value: Any) -> list[float]:
    """Every number in JSON data, in order."""
    match value:
        case dict():
            return [number for one in value.values() for number in figures(one)]
        case list():
            return [number for one in value for number in figures(one)]
        case float() | int():
            return [float(value)]
    return []


def test_an_attack_finds_what_it_finds_on_the_cpu(device: torch.device) -> None:
    setup = Setup(prompts=16).on(dtype="float64")
    found = acdc.discover("ioi", goal=Edges(20), method=Method("eap-ig"), setup=setup)
    here, there = (acdc.attack(found.circuit, setup=setup.on(where), plan=PLAN) for where in ("cpu", str(device)))
    assert [case.pair.clean for case in there.found.worst] == [case.pair.clean for case in here.found.worst]
    assert [case.kl for case in there.found.worst] == pytest.approx(
        [case.kl for case in here.found.worst], rel=0, abs=1e-9
    )


def test_the_command_line_runs_on_it(device: torch.device, tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")  # a bare machine may lack it, and discoveries are drawn
    ran = command_line("discover", "periodic", "--device", str(device), "--threshold", "0.3", "--out", tmp_path / "run")
    assert (ran.code, ran.err.count("error")) == (0, 0), ran
    judged = command_line("evaluate", tmp_path / "run", "--device", str(device))
    assert judged.code == 0, judged


@pytest.mark.parametrize("others", ["cpu", "cuda:1"])
def test_layers_on_several_devices_find_what_one_finds(
    checkpoints: Checkpoints, device: torch.device, others: str
) -> None:
    if device.type != "cuda" or (others == "cuda:1" and torch.cuda.device_count() < 2):
        pytest.skip("it takes a GPU, and for layers on two of them another")
    one = on(torch.device("cuda:0"), str(checkpoints.path("llama")))
    several = graphs.load(checkpoints.path("llama"), dtype=torch.float64, device=f"cuda:0,{others}")
    pairs: PromptPairs = behaviour(checkpoints.model("llama"), LENGTHS)
    found = []
    for model in (one, several):
        problem = Problem(model, pairs, metric("logit_difference"), Ablation.RESAMPLE)
        found.append([ended(search(Method(name), Edges(20), 0).walk(problem))[0] for name in ("acdc", "eap-ig")])
    assert [(each.edges, each.scores) for each in found[1]] == [(each.edges, each.scores) for each in found[0]]


def test_auto_puts_layers_on_gpus_as_they_fit(checkpoints: Checkpoints, device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("it takes a GPU")
    assert {each.type for each in graphs.load(checkpoints.path("llama"), device="auto").devices} == {"cuda"}
