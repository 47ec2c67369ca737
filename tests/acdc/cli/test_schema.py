"""`acdc schema` prints what editors need."""

from __future__ import annotations

import pytest

from acdc.hypotheses.form import HypothesisForm
from acdc.tasks.files.behaviour_form import BehaviourForm
from acdc.tasks.files.forms import AbstractForm, schema_of
from tests.acdc.cli.command_line import acdc


@pytest.mark.parametrize(("options", "form"), [((), HypothesisForm), (("--behaviour",), BehaviourForm)])
def test_the_schema_is_printed_and_nothing_else(options: tuple[str, ...], form: type[AbstractForm]) -> None:
    ran = acdc("schema", *options)
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == schema_of(form)
