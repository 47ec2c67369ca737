"""By which edges the shipped models do each task is claimed in `hypotheses/`; pytest runs the claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.hypotheses.reading import load
from tests.tasks.default_models import WITH_MODEL

HYPOTHESES = Path(__file__).parent / "hypotheses"


@pytest.mark.parametrize("task", WITH_MODEL)
def test_every_task_has_a_hypothesis_that_can_be_read(task: str) -> None:
    hypothesis = load(HYPOTHESES / f"test_{task}.acdc.yaml")
    assert hypothesis.subject.task.name == task
    assert {"behaviour", "faithfulness", "kl", "size"} <= {claim.kind for claim in hypothesis.claims}


def test_no_hypothesis_is_of_another_task() -> None:
    assert {path.name for path in HYPOTHESES.glob("*.yaml")} == {f"test_{task}.acdc.yaml" for task in WITH_MODEL}
