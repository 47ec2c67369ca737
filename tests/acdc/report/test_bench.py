"""The table says what the results say, in 80 columns."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from acdc.report.bench import tables
from acdc.report.bench_picture import pictures
from tests.acdc.bench_results import result


def shown(results: list[Mapping[str, Any]], width: int = 80) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in tables(results):
        console.print(part)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_row_is_the_mean_over_seeds() -> None:
    lines = shown([result(seed=0, auc=1.0, cpr=-0.001), result(seed=1, auc=0.5, cpr=-0.003)])
    assert lines[:5] == [
        "resample ablation, 2 seeds",
        "                     edge   edge   node  preci-",
        "method                AUC  plain    AUC    sion  recall   CPR   CMD     s",
        "toy",
        "eap-ig-activations  0.750  0.850  1.000    0.50    0.25  0.00  0.07  1.50",
    ]


def test_every_ablation_has_a_table_and_says_where_the_truth_is_another_s() -> None:
    lines = shown([result(), result(ablation="zero")], 120)
    assert [line for line in lines if "ablation," in line] == ["resample ablation, 1 seed", "zero ablation, 1 seed"]
    notes = [line for line in lines if line.startswith("Note")]
    assert notes == [
        "Note: the true edges of toy were derived under resample ablation; under zero others may be.",
    ]


def test_what_a_method_could_not_do_is_said_with_the_reason() -> None:
    lines = shown(
        [result(refused="it is 0"), result(seed=1), result(model="top", method="eap", refused="it is 0")], 120
    )
    assert "Note: no result of eap-ig-activations on toy (seed 0), eap on top: it is 0" in lines
    assert "eap-ig-activations  1.000  1.000  1.000    0.50    0.25  1.00  0.07  1.50" in lines
    assert "eap-ig-activations     -      -     -       -       -    -    -  -" in shown([result(refused="no")])


def test_where_every_node_is_true_there_is_no_area_of_nodes() -> None:
    lines = shown([result(nodes=False)])
    assert "eap-ig-activations  1.000  1.000     -    0.50    0.25  1.00  0.07  1.50" in lines


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(width: int) -> None:
    lines = shown([result(), result(method="acdc", model="planted-backup"), result(ablation="mean-positional")], width)
    assert max(len(line) for line in lines) <= width
    assert not any(line.endswith("…") for line in lines)


@pytest.mark.parametrize("models", [1, 5])
def test_there_is_a_picture_for_every_ablation(models: int) -> None:
    results = [result(model=f"m{number}", refused="it cannot" if number else None) for number in range(models)]
    drawn = dict(pictures([*results, result(ablation="zero", nodes=False)]))
    assert list(drawn) == ["resample", "zero"]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())


def test_a_picture_shows_what_the_results_say() -> None:
    [(_, one)] = pictures([result()])
    [(_, same)] = pictures([result()])
    [(_, other)] = pictures([result(auc=0.5)])
    assert one == same != other
