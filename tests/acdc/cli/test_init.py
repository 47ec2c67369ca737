"""`acdc init` writes a behaviour file, and never over another one unasked."""

from __future__ import annotations

from pathlib import Path

from acdc.tasks.files.behaviour_file import load_behaviour_file
from tests.acdc.cli.command_line import acdc, refused


def test_the_file_is_a_behaviour_named_after_it() -> None:
    ran = acdc("init", "to be.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert load_behaviour_file("to be.yaml").name == "to_be"
    assert "  acdc discover 'to be.yaml'\n" in ran.out


def test_a_file_is_overwritten_only_when_forced() -> None:
    Path("mine.yaml").write_text("precious")
    assert refused("init", "mine.yaml").endswith("name another one, or overwrite it with --force")
    assert acdc("init", "mine.yaml", "--force").code == 0
    assert load_behaviour_file("mine.yaml").name == "mine"


def test_a_file_that_would_not_be_known_for_a_behaviour_is_refused() -> None:
    assert refused("init", "mine.txt").endswith("wanted .yaml or .yml; write `acdc init mine.yaml`")


def test_a_file_that_cannot_be_written_is_refused() -> None:
    assert refused("init", "nowhere/mine.yaml").startswith("nowhere/mine.yaml cannot be written: No such file")
