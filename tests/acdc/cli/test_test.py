"""`acdc test` tests what pytest tests, and says it with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.hypotheses import session
from tests.acdc.cli.command_line import acdc, refused
from tests.acdc.hypotheses.files import changed, claiming, untrained, write


def test_claims_that_hold_are_exit_0() -> None:
    write(Path())
    ran = acdc("test", ".")
    assert (ran.code, ran.err) == (0, "")
    *claims, summary = ran.out.splitlines()
    assert claims[0].startswith("passed  test_periodic.acdc.yaml::behaviour: 1 (95% CI ")
    assert claims[0].endswith("; at least 0.9")
    assert claims[2] == "passed  test_periodic.acdc.yaml::size: 6 edges; nodes: 3, a0.h0, a0.h2, a1.h0; at most 6"
    assert summary == "3 passed, 0 failed, 0 errors"


def test_a_broken_claim_is_exit_1() -> None:
    write(Path(), changed("at_most: 6", "at_most: 5"))
    ran = acdc("test", "test_periodic.acdc.yaml")
    assert (ran.code, ran.err) == (1, "error: 1 of 3 claims do not hold\n")
    assert "test_periodic.acdc.yaml:9: the claim size does not hold\n  measured  6 edges; nodes: 3, a0.h0, " in ran.out
    assert "  edges     " in ran.out


def test_a_malformed_file_is_exit_2_and_the_others_are_tested() -> None:
    write(Path("a"), changed("at_most: 6", "at_mots: 6"))
    write(Path("b"))
    ran = acdc("test", "a", "b")
    assert ran.code == 2
    assert ran.err.startswith("error: a/test_periodic.acdc.yaml:9: unknown key: got 'at_mots'")
    assert ran.out.splitlines()[-1] == "3 passed, 0 failed, 1 error"


def test_a_behaviour_that_the_model_does_not_show_is_a_broken_claim() -> None:
    write(Path())
    ran = acdc("test", ".", "--model", untrained(Path("untrained")))
    assert ran.code == 1
    assert "FAILED  test_periodic.acdc.yaml::faithfulness: ablating the whole model" in ran.out
    assert ran.out.splitlines()[-1] == "1 passed, 2 failed, 0 errors"


def test_claims_in_a_run_s_folder_are_left_there_for_its_page(found: Path) -> None:
    write(found)
    before = (found / "report.html").read_text("utf-8")
    assert acdc("test", found).code == 0
    kept = json.loads((found / "claims.json").read_text("utf-8"))
    assert [(one["claim"], one["passed"]) for one in kept["claims"]] == [
        ("behaviour", True),
        ("faithfulness", True),
        ("size", True),
    ]
    assert before != (found / "report.html").read_text("utf-8")
    (found / "claims.json").write_text('{"claims": []}')  # of somebody else's making
    ran = acdc("test", found)
    assert (ran.code, (found / "claims.json").read_text()) == (0, '{"claims": []}')
    assert "stays as it is" in ran.err


def test_a_page_that_cannot_be_made_again_is_no_failure(found: Path) -> None:
    write(found)
    (found / "view.json").write_text("{")
    before = (found / "report.html").read_bytes()
    ran = acdc("test", found)
    assert ran.code == 0
    assert "warning: found/report.html is as it was before: found/view.json is damaged" in ran.err
    assert (found / "report.html").read_bytes() == before


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(session, "judge", broken)
    write(Path())
    ran = acdc("test", ".")
    assert ran.code == 70
    assert "RuntimeError: a fault" in ran.err


def test_baselines_are_recorded_on_request() -> None:
    write(Path(), claiming("  kl: {tolerance: 0.001}\n"))
    missing = acdc("test", ".")
    assert missing.code == 1
    assert "record it with `acdc test --update`" in missing.out
    assert acdc("test", ".", "--update").code == 0
    assert acdc("test", ".").code == 0


def test_json_is_all_there_is_on_stdout() -> None:
    write(Path("a"), changed("at_most: 6", "at_mots: 6"))
    write(Path("b"), changed("at_most: 6", "at_most: 5"))
    ran = acdc("test", ".", "--json")
    assert ran.code == 2
    counts = {name: ran.json[name] for name in ("passed", "failed", "errors")}
    assert counts == {"passed": 2, "failed": 1, "errors": 1}
    malformed, _, faithfulness, size = ran.json["claims"]
    assert "unknown key" in malformed["error"]
    assert faithfulness["low"] < faithfulness["value"] < faithfulness["high"]
    assert (size["claim"], size["passed"], size["at_most"]) == ("size", False, 5)
    assert size["influential"][0].keys() == {"edge", "words"}


def test_what_is_no_hypothesis_file_is_refused() -> None:
    assert refused("test", ".").startswith("there is no hypothesis file at .: wanted a file called test_*.acdc.yaml")


def test_baselines_are_not_of_another_model() -> None:
    write(Path())
    assert "given together" in refused("test", ".", "--update", "--model", "periodic-2l")
