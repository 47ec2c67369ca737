"""`acdc schema` prints what editors need."""

from __future__ import annotations

from acdc.hypotheses.form import schema
from tests.acdc.cli.command_line import acdc


def test_the_schema_is_printed_and_nothing_else() -> None:
    ran = acdc("schema")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == schema()
