"""With the plugin, pytest runs claims as tests; without hypothesis files it costs nothing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.acdc.hypotheses.files import HOLDS, changed, claiming, untrained, write
from tests.acdc.pytest_sessions import run, run_apart

pytestmark = pytest.mark.usefixtures("everything_loaded")


def test_every_claim_is_a_test(pytester: pytest.Pytester) -> None:
    write(pytester.path)
    ran = run(pytester, "-v")
    ran.assert_outcomes(passed=3)
    ran.stdout.fnmatch_lines([f"test_periodic.acdc.yaml::{name} PASSED*" for name in ("behaviour", "faithfulness")])


def test_claims_are_selected_like_tests(pytester: pytest.Pytester) -> None:
    write(pytester.path)
    run(pytester, "-k", "size or faithfulness").assert_outcomes(passed=2, deselected=1)
    run(pytester, "test_periodic.acdc.yaml::size").assert_outcomes(passed=1)


def test_a_broken_claim_is_told_without_a_traceback(pytester: pytest.Pytester) -> None:
    file = write(pytester.path, HOLDS.replace('"a1.h0->logits"', '"m1->logits"').replace("at_most: 6", "at_most: 5"))
    ran = run(pytester)
    ran.assert_outcomes(passed=1, failed=2)
    ran.stdout.fnmatch_lines(
        [
            f"{file}:8: the claim faithfulness does not hold",
            "  measured * (95% CI * to *), the part of the behaviour that the circuit keeps",
            "  claimed   at least 0.8",
            "  edges     a1.h0->logits *with it *",
            f"{file}:9: the claim size does not hold",
        ]
    )
    assert "Traceback" not in ran.stdout.str()
    assert "verdict.py" not in ran.stdout.str()


def test_what_cannot_be_measured_is_told_without_a_traceback(pytester: pytest.Pytester) -> None:
    file = write(pytester.path)
    ran = run(pytester, f"--acdc-model={untrained(pytester.path / 'untrained')}")
    ran.assert_outcomes(passed=1, failed=2)
    ran.stdout.fnmatch_lines([f"{file}:8: the claim faithfulness cannot be measured: ablating the whole model*"])


def test_malformed_files_are_told_at_collection_and_the_others_run(pytester: pytest.Pytester) -> None:
    bad = write(
        pytester.path, changed("at_most: 6", "at_mots: 6").replace("periodic\n", "perodic\n"), "test_a.acdc.yaml"
    )
    write(pytester.path, name="test_b.acdc.yaml")
    pytester.makepyfile(test_c="def test_c(): pass")
    ran = run(pytester)
    ran.assert_outcomes(errors=1, passed=4)
    ran.stdout.fnmatch_lines(
        [
            "*ERROR collecting test_a.acdc.yaml*",
            f"{bad}:2: unknown task: got 'perodic'*did you mean 'periodic'?",
            f"{bad}:9: unknown key: got 'at_mots'*did you mean 'at_most'?",
        ]
    )
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    collected = run(pytester, "--collect-only")
    collected.stdout.fnmatch_lines([f"{bad}:9: unknown key*"])


def test_errors_elsewhere_stop_pytest_as_they_always_do(pytester: pytest.Pytester) -> None:
    write(pytester.path, changed("at_most: 6", "at_mots: 6"))
    pytester.makepyfile(test_c="import nonsense_that_is_not_there")
    assert run(pytester).ret == pytest.ExitCode.INTERRUPTED


def test_a_missing_baseline_fails_until_it_is_recorded(pytester: pytest.Pytester) -> None:
    file = write(pytester.path, claiming("  kl: {tolerance: 0.001}\n  edges: {tolerance: 0}\n"))
    ran = run(pytester)
    ran.assert_outcomes(failed=2)
    ran.stdout.fnmatch_lines(["  remedy    record it with `acdc test --update` or `pytest --acdc-update`"])
    ran = run(pytester, "--acdc-update")
    ran.assert_outcomes(passed=2)
    ran.stdout.fnmatch_lines([f"recorded kl, edges: {file.with_suffix('.baseline.json')}"])
    run(pytester).assert_outcomes(passed=2)
    data = json.loads(file.with_suffix(".baseline.json").read_text())
    assert len(data["claims"]["edges"]["edges"]) == 6


def test_baselines_are_not_of_another_model(pytester: pytest.Pytester) -> None:
    ran = run(pytester, "--acdc-update", "--acdc-model=periodic-2l")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["ERROR: --acdc-update and --acdc-model were given together*"])


def test_figures_reach_junit_xml(pytester: pytest.Pytester) -> None:
    write(pytester.path)
    run(pytester, "--junitxml=junit.xml", "-k", "faithfulness").assert_outcomes(passed=1, deselected=2)
    [case] = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    figures = {item.get("name"): item.get("value") for item in case.iter("property")}
    assert figures["acdc.claim"] == "faithfulness"
    assert figures["acdc.at_least"] == "0.8"
    low, value, high = (float(figures[f"acdc.{name}"] or "nan") for name in ("low", "value", "high"))
    assert 0.8 < low < value < high


def test_files_run_and_record_in_several_processes(pytester: pytest.Pytester) -> None:
    file = write(pytester.path, claiming("  kl: {tolerance: 0.001}\n  size: {at_most: 5}\n"))
    bad = write(pytester.path, changed("at_most: 6", "at_mots: 6"), "test_bad.acdc.yaml")
    ran = run_apart(pytester, "-n", "2", "--dist", "loadgroup", "--acdc-update")
    ran.assert_outcomes(passed=1, failed=1, errors=1)
    ran.stdout.fnmatch_lines([f"{bad}:9: unknown key*", f"{file}:8: the claim size does not hold"])
    assert set(json.loads(file.with_suffix(".baseline.json").read_text())["claims"]) == {"kl"}


def test_without_hypothesis_files_nothing_is_loaded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            heavy = {"torch", "transformers", "yaml", "pydantic", "acdc.tasks", "acdc.graphs", "acdc.hypotheses"}
            assert "acdc.pytest_plugin" in sys.modules
            assert heavy & set(sys.modules) == set()
        """
    )
    run_apart(pytester, "-W", "error").assert_outcomes(passed=1)


def test_the_installed_package_brings_the_plugin() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert '\n[project.entry-points.pytest11]\nacdc = "acdc.pytest_plugin"\n' in project
