"""`acdc features` says what features do and refuses, in one message, those that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acdc.cli.command_line import acdc, refused

SAE = ("features", "ioi", "everyday-4l-m0-sae", "--prompts", "8")


def test_a_feature_is_shown_with_its_evidence(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("When Jacob and Jeremy went to the house , Jacob gave a ball to\n")
    ran = acdc(*SAE, "--feature", "373", "--texts", texts)
    assert ran.code == 0, ran.err
    assert "of the variance of" in ran.out
    assert "strongest in the texts" in ran.out
    assert "house , [Jacob] gave" in ran.out


def test_json_holds_the_fit_and_every_unit() -> None:
    ran = acdc(*SAE, "--feature", "3,7", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["fit"]["explained"] > 0.8
    assert [each["unit"] for each in ran.json["units"]] == ["m0.f3", "m0.f7"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--feature", "512"), "--feature 512 is not there"),
        (("--feature", "x"), "wanted numbers with commas"),
        (("--hook", "blocks.1.hook_mlp_out"), "of the variance at blocks.1.hook_mlp_out"),
        (("--hook", "blocks.0.hook_q"), "--hook is of activations at 'blocks.0.hook_q'"),
        (("--texts", "nowhere.txt"), "cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(*SAE, *arguments)


def test_a_pickle_and_a_folder_of_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "holds no features" in refused("features", "ioi", tmp_path, "--prompts", "4")
    (tmp_path / "ae.pt").write_bytes(b"")
    assert "is a pickle" in refused("features", "ioi", tmp_path, "--prompts", "4")
