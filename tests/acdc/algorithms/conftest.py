"""A problem that one batch measures, for laws that batches have no part in."""

from __future__ import annotations

import pytest

from acdc.problem import Problem
from graphs.model import Model
from tasks.metrics import LogitDifference
from tests.acdc.behaviours import behaviour


@pytest.fixture(scope="module")
def single_batch(llama: Model) -> Problem:
    """Four prompts of one length, measured by the logit difference."""
    return Problem(llama, behaviour(llama, (9, 9, 9, 9)), LogitDifference())
