"""A hypothesis about a small shipped model, and one model cache for all who measure it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from acdc.hypotheses.hypothesis import Hypothesis
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.reading import load
from tests.acdc.hypotheses.files import claiming, write


@pytest.fixture(scope="session")
def model_cache() -> ModelCache:
    """Where the shipped models are loaded once for all tests."""
    return ModelCache()


@pytest.fixture
def hypothesis(tmp_path: Path) -> Callable[..., Hypothesis]:
    """The hypothesis of the six edges with other claims, and perhaps with other edges."""

    def made(claims: str, circuit: str | None = None) -> Hypothesis:
        text = claiming(claims)
        if circuit is not None:
            before, after = text.split("circuit: ", 1)
            text = f"{before}circuit: {circuit}\n{after.partition(chr(10))[2]}"
        return load(write(tmp_path, text))

    return made
