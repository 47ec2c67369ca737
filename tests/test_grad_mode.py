"""Whoever runs a model keeps their grad mode: no generator hands anything out from inside a `with torch.no_grad()`.

Two generators that are read in turns leave such blocks in another order than they entered them, and the last one to
leave then sets for good what the other one had set for a while.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
import torch

from acdc.explain.attention import layer_patterns
from acdc.explain.example_prompts import _alone
from tests.layout import PACKAGES, modules
from tests.native_bridges import native_model


def handed_out(source: str) -> Iterator[int]:
    """The lines of a source in which something is yielded inside a block that sets the grad mode."""
    for block in ast.walk(ast.parse(source)):
        if isinstance(block, ast.With):
            names = {part.attr for item in block.items for part in ast.walk(item) if isinstance(part, ast.Attribute)}
            if names & {"no_grad", "enable_grad", "inference_mode", "set_grad_enabled"}:
                yield from (part.lineno for part in ast.walk(block) if isinstance(part, ast.Yield | ast.YieldFrom))


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f():\n with torch.no_grad():\n  x = 1\n yield x", []),
        ("def f():\n with torch.no_grad():\n  yield 1", [3]),
        ("def f():\n with open(a), torch.enable_grad():\n  for x in y:\n   yield from x", [4]),
    ],
)
def test_what_is_handed_out_inside_is_noticed(source: str, lines: list[int]) -> None:
    assert list(handed_out(source)) == lines


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_handed_out_inside(package: str) -> None:
    assert {path.name: found for path in modules(package) if (found := list(handed_out(path.read_text())))} == {}


def test_reading_the_patterns_of_two_runs_in_turns_leaves_the_grad_mode() -> None:
    model = native_model("relu")
    runs = [_alone(model, (1, 2, token), 2) for token in (3, 4)]
    with torch.enable_grad():
        for _ in zip(*map(layer_patterns, runs), strict=True):
            assert torch.is_grad_enabled()
        assert torch.is_grad_enabled()
