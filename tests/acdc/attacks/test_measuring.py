"""What is measured of a prompt is what the executor and the metric say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc.attacks.measuring import cases, written
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.execution.executor import Executor
from acdc.problem import Problem
from acdc.tasks.metrics import Accuracy, KLDivergence


def test_cases_say_what_is_measured_prompt_by_prompt(measurable: Problem) -> None:
    empty = Circuit.empty(measurable.graph)
    kl, accuracy = measurable.measure([empty], [KLDivergence(), Accuracy()])[:, 0].tolist()
    met = cases(measurable, empty, "by hand")
    assert [case.kl for case in met] == pytest.approx(kl, rel=0, abs=1e-12)
    assert [case.circuit.right for case in met] == [bool(right) for right in accuracy]
    assert all(case.model.right for case in met), "the answers of these prompts are what the model says"
    for case, pair in zip(met, measurable.pairs.pairs, strict=True):
        logits = Executor(
            measurable.model, torch.tensor([pair.clean]), torch.tensor([pair.corrupt]), torch.tensor([pair.position])
        ).run([empty])
        assert case.circuit.text == written(measurable.model, int(logits.argmax()))
        assert case.model.text == written(measurable.model, pair.answers[0])


def test_the_whole_model_is_a_circuit_that_never_fails(measurable: Problem) -> None:
    for case in cases(measurable, Circuit.full(measurable.graph), "by hand"):
        assert case.kl == pytest.approx(0, abs=1e-9)
        assert case.model.text == case.circuit.text
        assert not case.fails


def test_a_circuit_of_another_model_is_refused(measurable: Problem) -> None:
    with pytest.raises(DifferentGraphs):
        cases(measurable, Circuit.empty(replace(measurable.graph, n_layers=3)), "by hand")
