"""Roles are those that the models' cards and programs say, and no head of a shuffled model has one."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import acdc
from acdc import tasks
from acdc.explain.explanation import explain
from acdc.explain.labelling import label
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.graphs.roles import UNLABELLED
from acdc.ground_truth import planted
from acdc.models import load_model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.prompts import ListedPrompts, PromptPairs, TextPair
from acdc.tasks.tokenisation import tokenise
from tests.graphs.test_hand_weighted import hand_weighted

PERIODIC = [
    *("input->a0.h0<v>", "input->a0.h2<v>", "input->a1.h0<q>"),
    *("a0.h2->a1.h0<k>", "a0.h0->a1.h0<v>", "a1.h0->logits"),
]
TASK = tasks.Task("hand", tasks.About("By hand."), "hand", "logit_difference", ListedPrompts((), ()))
TRUE = {
    "periodic-2l": ("periodic", {"a0.h0": "previous token", "a0.h2": "fixed offset (2 back)", "a1.h0": "induction"}),
    "siit-lookup-3l": ("siit_lookup", {"a0.h1": "previous token", "a1.h2": "induction"}),
    "siit-pick-3l": ("siit_pick", {"a0.h1": "first token", "a2.h0": "previous token"}),
}


def labelled(model: Model, task: str, circuit: Circuit, metric: str | None = None) -> dict[str, str]:
    """The roles that heads of a circuit get, without those that get none."""
    behaviour = acdc.get_task(task)
    choosing, keeping = problems(behaviour, model, Setup(metric=metric, prompts=16))
    found = label(circuit, choosing, keeping).roles
    return {node.name: role.role for node, role in found.items() if role.role != UNLABELLED}


PLANTED = {
    "planted-and:0": {"a0.h2": "fixed offset (3 back)", "a3.h0": "previous token"},
    # either of two heads is enough: ablating one costs nothing, both all
    "planted-or:0": {"a1.h0": "fixed offset (3 back)", "a1.h1": "fixed offset (3 back)"},
    "planted-control:0": {},
}


def of_heads(model: Model) -> Circuit:
    """A circuit in which every head of a model is."""
    return Circuit.from_names(model.graph, [f"{node}->logits" for node in model.graph.senders if node.kind == "head"])


@pytest.mark.parametrize("name", TRUE)
def test_true_roles_are_found_and_no_false_ones(name: str) -> None:
    task, true = TRUE[name]
    model = load_model(name)
    assert labelled(model, task, of_heads(model)) == true


@pytest.mark.parametrize("name", PLANTED)
def test_the_roles_of_planted_heads_are_found(name: str) -> None:
    known = planted.named(name)
    choosing, keeping = problems(known.task, known.model, Setup(metric="kl", prompts=16))
    found = label(of_heads(known.model), choosing, keeping).roles
    assert {node.name: role.role for node, role in found.items() if role.role != UNLABELLED} == PLANTED[name]


@pytest.mark.parametrize(("name", "true"), [("tracr:reverse", {"a3.h0": "name mover"}), ("tracr:proportion", {})])
def test_the_roles_of_programs_follow_from_them(name: str, true: dict[str, str]) -> None:
    # reverse fetches the mirrored token; everything else looks everywhere alike, to count
    model = load_model(name)
    assert labelled(model, name.replace(":", "_"), of_heads(model)) == true


@pytest.mark.parametrize(("name", "seed"), [("periodic-2l", 0), ("periodic-2l", 1), ("siit-lookup-3l", 2)])
def test_no_head_of_a_shuffled_model_has_a_role(tmp_path: Path, name: str, seed: int) -> None:
    task = TRUE[name][0]
    copy = Path(shutil.copytree(tasks.shipped_model(name), tmp_path / "shuffled"))
    weights = load_file(copy / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    shuffled = {
        name: weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight).contiguous()
        for name, weight in weights.items()
    }
    save_file(shuffled, copy / "model.safetensors", metadata={"format": "pt"})
    model = load_model(str(copy))
    # such a model does nothing, but ablating its heads changes what it says, so that there are costs to go by
    assert labelled(model, task, of_heads(model), "kl") == {}


def by_hand() -> Problem:
    """All prompts `x y z y` and `y z x y` of three tokens, whose answer is z, and of the other form where it is x.

    So that the tokens before the answer change places, and what a previous-token head writes is not the same in both.
    """
    found = []
    for x, y, z in permutations(range(3)):
        for clean, corrupt in (((x, y, z, y), (y, x, z, y)), ((y, z, x, y), (z, y, x, y))):
            written = [f"token ids: {' '.join(map(str, side))}" for side in (clean, corrupt)]
            pair, problem = tokenise(TextPair(*written, (str(z),), (str(x),)), None)
            assert pair is not None, problem
            found.append(pair)
    return Problem(hand_weighted(), PromptPairs(tuple(found)), LogitDifference())


def test_the_roles_of_the_hand_weighted_model_are_found_and_no_false_ones() -> None:
    problem = by_hand()
    found = {
        node.name: role.role for node, role in explain(of_heads(problem.model), problem, problem, TASK).roles.items()
    }
    assert found == {"a0.h0": "previous token", "a0.h1": UNLABELLED, "a1.h0": "induction", "a1.h1": UNLABELLED}
