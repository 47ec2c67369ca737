"""The tables say what the results say, at 100 columns and at fewer, and a picture is drawn of each subject."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from acdc.report.frontier import tables
from acdc.report.frontier_picture import pictures
from tests.acdc.frontier_results import frontier_result


def shown(results: list[Mapping[str, Any]], width: int = 100) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in tables(results):
        console.print(part)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_methods_stand_beneath_each_other_at_every_size() -> None:
    lines = shown([frontier_result(), frontier_result(method="eap-ig", kept={10: -0.001, 30: 0.5, 1000: 1.0})])
    assert lines[:8] == [
        "toy, ioi, kl",
        "2,000 edges; 64 prompts to judge by, of which the model gets 92% right",
        " edges,",
        "at most  method  edges  judged  95%            found    KL  right",
        "     10  masks       9    0.20  [0.10, 0.30]    0.25  0.80    10%",
        "         eap-ig      9    0.00  [-0.10, 0.10]   0.05  1.00    -0%",
        "     30  masks       -       -  -                  -     -      -",
        "         eap-ig     29    0.50  [0.40, 0.60]    0.55  0.50    25%",
    ]
    assert not any(line.lstrip().startswith(("3,000", "10,000")) for line in lines), "the graph has 2,000 edges"


def test_a_method_has_edges_by_level_areas_time_and_memory_and_no_number_where_there_is_none() -> None:
    lines = shown([frontier_result()])
    at = lines.index("method  for 50%  70%  80%  90%  CPR   CMD  min  CPU     MB")
    assert lines[at + 1] == "masks        54  207    -    -    -  0.12  1.5  2.5  1,234"


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_what_could_not_be_measured_is_said_with_the_reason(how: str) -> None:
    lines = shown([frontier_result(), frontier_result(method="eap-ig", **{how: "it is 0"})])
    assert "Note: no result of eap-ig: it is 0" in lines
    assert "eap-ig        -    -    -    -    -     -    -    -      -" in lines
    alone = shown([frontier_result(method="eap-ig", **{how: "it is 0"})])
    assert alone[:2] == ["toy, ioi, kl", "Note: no result of eap-ig: it is 0"]


def test_notes_on_a_model_are_told_once() -> None:
    lines = shown([frontier_result(notes=["doubtful"]), frontier_result(method="eap", notes=["doubtful"])])
    assert lines.count("Note: doubtful") == 1


def test_the_tables_fit() -> None:
    long = frontier_result(method="eap-ig-activations", kept={1000: -0.123}, peak_mb=123456.0)
    for width in (80, 100):
        lines = shown([long, frontier_result(method="information-flow")], width)
        assert max(len(line) for line in lines) <= width
        assert not any("…" in line for line in lines)


def test_there_is_a_picture_for_every_subject_that_has_a_curve() -> None:
    results = [
        frontier_result(),
        frontier_result(method="eap", refused="it cannot"),
        frontier_result(model="owner/name", metric="logit_difference"),
        frontier_result(model="other", refused="it cannot"),
        frontier_result(model="small", kept={}),
    ]
    drawn = dict(pictures(results))
    assert list(drawn) == ["frontier-toy-ioi-kl.png", "frontier-owner_name-ioi-logit_difference.png"]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())


def test_a_picture_shows_what_the_results_say() -> None:
    [(_, one)] = pictures([frontier_result()])
    [(_, same)] = pictures([frontier_result()])
    [(_, other)] = pictures([frontier_result(kept={10: 0.3, 100: 0.6, 300: 0.75})])
    assert one == same != other
