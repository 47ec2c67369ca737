"""A model is loaded once and prompts are drawn once, however many claims need them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acdc.graphs.model import Model
from acdc.hypotheses.hypothesis import ClaimSubject
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.reading import load
from acdc.models import load_named
from acdc.settings import Setup
from tests.acdc.hypotheses.files import write


@pytest.fixture
def subject(tmp_path: Path) -> ClaimSubject:
    return load(write(tmp_path)).subject


def test_a_model_is_loaded_once(subject: ClaimSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def counted(name: str, setup: Setup) -> Model:
        loaded.append(f"{name} {setup.compute.dtype}")
        return load_named(name, setup)

    monkeypatch.setattr("acdc.hypotheses.model_cache.load_named", counted)
    model_cache = ModelCache()
    first = model_cache.problem(subject)
    assert model_cache.problem(replace(subject, setup=replace(subject.setup, seed=1))).model is first.model
    assert model_cache.problem(subject) is first
    assert loaded == ["periodic-2l float32"]
    model_cache.problem(replace(subject, setup=subject.setup.on(dtype="float64")))
    assert loaded == ["periodic-2l float32", "periodic-2l float64"]


def test_claims_are_measured_on_judgement_prompts(subject: ClaimSubject) -> None:
    problem = ModelCache().problem(subject)
    prompts = subject.task.build(problem.model.tokenizer, 16, 0)
    assert problem.pairs == prompts.judgement
