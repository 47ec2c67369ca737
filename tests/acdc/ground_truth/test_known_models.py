"""Names lead to models with known circuits."""

from __future__ import annotations

import pytest

from acdc.errors import BadSetting
from acdc.ground_truth import known_models
from acdc.ground_truth.known_models import KnownSubject
from tests.acdc import known_subjects


def test_the_names_are_those_of_programs_motifs_and_trained_models() -> None:
    planted = [f"planted-{motif}" for motif in ("chain", "and", "or", "backup", "hidden")]
    assert list(known_models.subjects())[:7] == ["tracr-reverse", "tracr-proportion", *planted]


def test_only_planted_models_depend_on_the_seed() -> None:
    seeded = {name for name, subject in known_models.subjects().items() if subject.seeded}
    assert seeded == {f"planted-{motif}" for motif in ("chain", "and", "or", "backup", "hidden")}


def test_a_maker_is_given_the_name_and_the_seed_where_it_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[object, ...]] = []

    def make(*arguments: object) -> object:
        given.append(arguments)
        return known_subjects.periodic("made")

    monkeypatch.setattr(known_subjects, "made", make, raising=False)
    for seeded in (True, False):
        assert KnownSubject("tests.acdc.known_subjects:made", "x", seeded).make(7).name == "made"
    assert given == [("x", 7), ("x",)]


def test_a_name_leads_to_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_models, "subjects", known_subjects.only_periodic)
    assert known_models.known("stand-in", 0).name == "stand-in"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        BadSetting, match=r"no model with a known circuit is called 'planted-nor'; did you mean planted-or"
    ):
        known_models.known("planted-nor", 0)
    with pytest.raises(BadSetting, match="wanted one of tracr-reverse"):
        known_models.check("xyz")
