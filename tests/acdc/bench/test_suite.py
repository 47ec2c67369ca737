"""The suite goes through every cell, keeps each, and measures none twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import acdc.bench.run_method
from acdc.bench.answer import AbstractAnswer
from acdc.bench.suite import SLOW, Suite, default, summary
from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.graphs.ablation import Ablation
from acdc.ground_truth import known_models
from acdc.methods import METHODS
from tests.acdc.algorithms.walks import finished
from tests.acdc.known_subjects import TRUE, only_periodic


def small() -> Suite:
    """Four cells on one stand-in."""
    return Suite(("eap", "exact"), ("stand-in",), 1, (Ablation.RESAMPLE, Ablation.ZERO), prompts=4, thresholds=2)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_models, "subjects", only_periodic)


def run(suite: Suite, folder: Path) -> tuple[list[dict[str, Any]], list[bool]]:
    """Every result, and for each whether it was there before."""
    results, told = finished(suite.run(folder))
    assert [(step.done, step.total) for step in told] == [(n + 1, len(told)) for n in range(len(told))]
    return results, [step.kept for step in told]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with the results of `small`, and these."""
    folder = tmp_path_factory.mktemp("cells")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_models, "subjects", only_periodic)
        results, kept = run(small(), folder)
    assert kept == [False] * 4
    return folder, results


def test_a_result_says_what_it_was_made_with_and_all_that_was_found(
    measured: tuple[Path, list[dict[str, Any]]],
) -> None:
    one = json.loads(json.dumps(measured[1][0], allow_nan=False))
    assert set(one) == {"settings", "truth", "seconds", "ground_truth", "faithfulness"}
    assert one["truth"] == {"edges": len(TRUE), "of_edges": 110, "made_under": "resample"}
    assert one["settings"] == json.loads(json.dumps(small().settings(next(small().cells()))))
    assert set(one["ground_truth"]) == {"edges", "nodes", "at_true_size"}
    assert set(one["faithfulness"]) == {"cpr", "cmd", "signed", "absolute"}
    assert one["seconds"] > 0


def test_exact_effects_find_what_does_most(measured: tuple[Path, list[dict[str, Any]]]) -> None:
    exact = next(result for result in measured[1] if result["settings"]["method"]["name"] == "exact")
    assert exact["ground_truth"]["edges"]["pessimistic"] == pytest.approx(1.0)
    assert exact["ground_truth"]["at_true_size"] == {"asked": 6, "edges": 6, "precision": 1.0, "recall": 1.0}


def test_a_truth_of_another_ablation_is_told(measured: tuple[Path, list[dict[str, Any]]]) -> None:
    under = {result["settings"]["ablation"]: result["truth"]["made_under"] for result in measured[1]}
    assert under == {"resample": "resample", "zero": "resample"}


def test_what_is_there_is_not_measured_again(
    measured: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(name: str, seed: int) -> None:
        raise AssertionError("a model was made though every result was there")

    monkeypatch.setattr(known_models, "known", never)
    assert run(small(), measured[0]) == (json.loads(json.dumps(measured[1])), [True] * 4)


def test_other_settings_a_damaged_file_and_a_missing_one_are_measured_anew(tmp_path: Path) -> None:
    suite = Suite(("eap",), ("stand-in", "other"), 2, (Ablation.RESAMPLE,), prompts=4)
    before, _ = run(suite, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == sorted(cell.file for cell in suite.cells())
    other = json.loads(files[0].read_text())
    files[0].write_text(json.dumps({**other, "settings": {**other["settings"], "prompts": 5}}))
    files[1].write_text(files[1].read_text()[:100])
    files[2].unlink()
    again, kept = run(suite, tmp_path)
    assert sorted(kept) == [False, False, False, True]
    for one, another in zip(before, again, strict=True):
        assert {**one, "seconds": 0} == {**another, "seconds": 0}


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    walk = small().run(tmp_path)
    next(walk)
    walk.close()
    assert run(small(), tmp_path)[1] == [True, False, False, False]


def test_what_a_method_cannot_do_is_a_result_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> AbstractAnswer:
        raise UnmeasurableBehaviour("the gradient is 0")

    monkeypatch.setattr(acdc.bench.run_method, "answer", refuse)
    results, _ = run(small(), tmp_path)
    assert {result["refused"] for result in results} == {"the gradient is 0"}
    assert run(small(), tmp_path)[1] == [True] * 4


def test_cells_on_one_model_come_together() -> None:
    suite = Suite(("eap", "exact"), ("stand-in", "other"), 2, (Ablation.ZERO, Ablation.MEAN))
    cells = list(suite.cells())
    assert len(cells) == len(set(cells)) == len({cell.file for cell in cells}) == 16
    made = [(cell.model, cell.seed) for cell in cells]
    assert made == sorted(made, key=made.index)
    assert len({json.dumps(suite.settings(cell)) for cell in cells}) == 16


def test_the_summary_adds_versions_and_machine() -> None:
    data = summary([])
    assert set(data) == {"schema", "versions", "machine", "cells"}
    assert set(data["machine"]) == {"platform", "cores", "threads"}


def test_without_a_choice_all_methods_meet_all_models() -> None:
    assert default().methods == tuple(METHODS)
    assert default().models == default(quick=True).models == ("stand-in", "other")
    assert set(METHODS) - set(default(quick=True).methods) <= set(SLOW)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": ("eap", "egp")}, "unknown method 'egp'; did you mean eap"),
        ({"models": ("stand-on",)}, "'stand-on'; did you mean stand-in"),
        ({"methods": ()}, "a table needs methods: got none"),
        ({"models": ("other", "other")}, "a table needs models: got one of them twice"),
        ({"ablations": ()}, "a table needs ablations"),
        ({"seeds": 0}, "0 seeds are too few; wanted 1 to "),
        ({"prompts": 1}, "1 prompt is too few; wanted 2 to "),
        ({"thresholds": 0}, "0 thresholds are too few"),
    ],
)
def test_a_suite_of_nothing_or_of_what_is_unknown_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        Suite(**{"methods": ("eap",), "models": ("stand-in",), **change})
