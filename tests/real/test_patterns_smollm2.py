"""What docs/patterns.md quotes of SmolLM2 is what its commands and its Python print, up to small differences."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import zip_longest
from pathlib import Path

import pytest

from acdc.cli.exits import Exit
from tests.acdc.cli.command_line import acdc
from tests.layout import ROOT

_, _, TEXT = (ROOT / "docs/patterns.md").read_text("utf-8").partition("\n## On a real language model")
STEP = re.compile(r"^    acdc (?P<command>[^\n]+)$|^```python\n(?P<python>.*?)^```$", re.MULTILINE | re.DOTALL)
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
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What the commands and the Python of the document print, line by line, in the directory that they worked in."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("patterns"))
        patch.setenv("COLUMNS", "160")
        Path("docs").symlink_to(ROOT / "docs")
        for step in STEP.finditer(TEXT):
            if step["command"]:
                ran = acdc(*step["command"].split())
                assert ran.code == Exit.DONE, ran.err
                lines += ran.out.splitlines()
            else:
                with redirect_stdout(io.StringIO()) as out:
                    exec(step["python"], {})
                lines += out.getvalue().splitlines()
        yield lines


def test_everything_that_is_quoted_is_printed(printed: list[str]) -> None:
    quoted = [line for block in QUOTED.findall(TEXT) for line in block.splitlines()]
    assert len(quoted) > 30
    missing = [line for line in quoted if not any(says(one, line) for one in printed)]
    assert not missing, "\n".join(printed)


def test_what_it_says_of_all_heads_is_so(printed: list[str]) -> None:
    told = json.loads(Path("runs/pattern_words-smollm2-135m/explain.json").read_text("utf-8"))
    assert max(head["attention"]["2 back"] for head in told["heads"]) < 0.5  # none looks two steps back
    assert [name for name, role in told["roles"].items() if role["role"] != "unlabelled"] == ["a18.h6"]
    assert [pair["structure"] for pair in told["interactions"]] == ["additive"] * 28
    assert not [line for line in printed if "work together" in line]
    assert len(told["heads"]) == 270
    assert 60 <= sum(head["copying"] > 0.9 for head in told["heads"]) <= 68  # quoted: 64


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("a1.h2  induction  58%  +0.41", True),
        ("a1.h2  induction  64%  +0.41", False),
        ("a1.h2  induction  58%  +0.61", False),
        ("a1.h2  unlabelled  58%  +0.41", False),
        ("a1.h3  induction  58%  +0.41", False),
    ],
)
def test_small_differences_alone_are_let_pass(line: str, same: bool) -> None:
    assert says(line, "a1.h2 induction 60% +0.40") is same
