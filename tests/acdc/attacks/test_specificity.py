"""What a circuit keeps of other tasks, and what of them says nothing about it."""

from __future__ import annotations

import pytest

import acdc
from acdc.attacks.specificity import specificity
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.judges.faithfulness import faithfulness
from acdc.models import load_named
from acdc.problems import problems
from acdc.settings import Setup

SETUP = Setup(prompts=8)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_named("periodic-2l", SETUP)


def test_it_is_the_faithfulness_to_the_other_task_by_its_own_metric(model: Model) -> None:
    task = acdc.get_task("periodic")
    circuit = Circuit.from_names(model.graph, ["input->a1.h0<q>", "a1.h0->logits", "input->logits"])
    [found] = specificity([task], model, circuit, Setup("kl", prompts=8))
    judged = faithfulness(problems(task, model, SETUP)[1], circuit)
    assert (found.task, found.verdict, found.kept) == ("periodic", "measured", judged.normalised)
    assert (found.model_accuracy, found.circuit_accuracy) == (judged.accuracy.full, judged.accuracy.circuit)


def test_what_the_model_does_not_do_or_cannot_read_says_nothing(model: Model) -> None:
    others = [acdc.get_task(name) for name in ("ioi", "induction")]
    circuit = Circuit.full(model.graph)
    inexpressible, _ = specificity(others, model, circuit, SETUP)
    assert (inexpressible.verdict, inexpressible.kept) == ("not expressible", None)
    assert "can be drawn for this tokenizer" in inexpressible.why
    untrained = load_named("planted-control:0", SETUP)
    [undone] = specificity([acdc.get_task("planted_hops")], untrained, Circuit.full(untrained.graph), SETUP)
    assert (undone.verdict, undone.kept) == ("model's limit", None)
    assert undone.why
