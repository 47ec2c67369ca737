"""Small problems, for laws that hold on any model: one that a batch measures, and one of prompts of two lengths."""

from __future__ import annotations

import pytest

from acdc.problem import Problem
from graphs.model import Model, from_bridge
from tasks.metrics import LogitDifference
from tests.acdc.behaviours import behaviour
from tests.native_bridges import native_bridge


@pytest.fixture(scope="module")
def two_heads() -> Model:
    """A model of two layers with two heads each."""
    return from_bridge(native_bridge("relu", n_heads=2))


@pytest.fixture(scope="module")
def single_batch(two_heads: Model) -> Problem:
    """Four prompts of one length, measured by the logit difference."""
    return Problem(two_heads, behaviour(two_heads, (9, 9, 9, 9)), LogitDifference())


@pytest.fixture(scope="module")
def two_lengths(two_heads: Model) -> Problem:
    """Four prompts of two lengths, measured by the logit difference."""
    return Problem(two_heads, behaviour(two_heads, (5, 9, 5, 9)), LogitDifference())
