"""What docs/patterns.md quotes of SmolLM2 is what its commands and its Python print, up to what other hardware rounds."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from itertools import zip_longest

import pytest

from acdc.cli.exits import Exit
from tests.acdc.cli.command_line import acdc
from tests.layout import ROOT

_, _, TEXT = (ROOT / "docs/patterns.md").read_text("utf-8").partition("\n## On a real language model")
STEP = re.compile(r"^    acdc (?P<command>.+)$|^```python\n(?P<python>.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"\n\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+%?|%)")
PERCENT, FRACTION = 3, 0.08
"""Numbers may differ by so much: points of a percentage, and others."""


def words(line: str) -> str:
    """A line without its numbers and its columns."""
    return " ".join(NUMBER.sub("#", line).replace("*", "").split())


def numbers(line: str) -> list[float]:
    """The numbers of a line, in units of what each may differ by."""
    return [float(one.rstrip("%")) / (PERCENT if one.endswith("%") else FRACTION) for one in NUMBER.findall(line)]


def says(printed: str, quoted: str) -> bool:
    """Whether a printed line is the quoted one, but for small differences of its numbers."""
    pairs = zip_longest(numbers(printed), numbers(quoted), fillvalue=float("inf"))
    return words(printed) == words(quoted) and all(abs(one - two) <= 1 for one, two in pairs)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines that the commands and the Python of the document print, in the order in which they stand there."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("patterns"))
        (tmp := tmp_path_factory.getbasetemp())
        patch.setenv("COLUMNS", "160")
    return lines
