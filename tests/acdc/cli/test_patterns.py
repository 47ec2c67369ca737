"""What docs/patterns.md and docs/explain.md quote is what their commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acdc.cli.exits import Exit
from tests.acdc.cli.command_line import acdc

DOCS = Path(__file__).parents[3] / "docs"
SHIPPED, _, _ = (DOCS / "patterns.md").read_text("utf-8").partition("\n## On a real language model")
"""What is about the shipped model; the rest is for tests/real."""
COMMAND = re.compile(r"^    acdc (.+)$", re.MULTILINE)


def words(text: str) -> str:
    """A text without its line breaks and columns, which hang on the terminal."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the commands of docs/patterns.md print."""
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("patterns"))
        patch.setenv("COLUMNS", "100")
        for line in COMMAND.findall(SHIPPED):
            ran = acdc(*line.split())
            assert ran.code == Exit.DONE, ran.err
            said.append(ran.out)
    assert len(said) == 2
    return words("\n".join(said))


def test_everything_that_is_quoted_is_printed(printed: str) -> None:
    quoted = re.findall(r"^```\n(.*?)^```$", SHIPPED, re.MULTILINE | re.DOTALL)
    assert len(quoted) == 4
    for block in quoted:
        assert words(block) in printed


def test_the_example_of_explain_is_printed(printed: str) -> None:
    text = (DOCS / "explain.md").read_text("utf-8")
    [example] = re.findall(r"^    head   role.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert words(example) in printed
