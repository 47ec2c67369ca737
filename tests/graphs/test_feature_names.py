"""Names of features: what files may say, and how they stand in texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.graphs.errors import BadDictionary
from acdc.graphs.feature_names import names_in, read_names, with_names

PLACES = {"m0": 20}


def read(path: Path, text: str, places: dict[str, int] = PLACES) -> dict[str, str]:
    (path / "names.json").write_text(text)
    return read_names(path / "names.json", places)


def test_features_are_named_by_number_or_by_id(tmp_path: Path) -> None:
    assert read(tmp_path, '{"12": " subject ", "m0.f0": "zero"}') == {"m0.f12": "subject", "m0.f0": "zero"}
    assert read(tmp_path, '{"m1.f3": "x"}', {"m0": 20, "m1": 20}) == {"m1.f3": "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[1]", "holds list, wanted names of features by number"),
        ('{"20": "x"}', "a feature '20' that is not there; wanted a number below 20"),
        ('{"-1": "x"}', "a feature '-1' that is not there"),
        ('{"m1.f3": "x"}', "a feature 'm1.f3' that is not there"),
        ('{"3": 4}', "names feature 3 4; wanted a line of 1 to 60 characters"),
        ('{"3": ""}', "names feature 3 ''"),
        ('{"3": "two\\nlines"}', "wanted a line"),
        ('{"3": "a \\" quote"}', "without double quotes"),
    ],
)
def test_files_that_name_nothing_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadDictionary) as error:
        read(tmp_path, text)
    assert said in str(error.value)


def test_a_number_alone_is_refused_where_there_are_several_layers(tmp_path: Path) -> None:
    with pytest.raises(BadDictionary, match=r"does not say of which layer.* write m0\.f3"):
        read(tmp_path, '{"3": "x"}', {"m0": 20, "m1": 20})


def test_names_stand_behind_the_ids_they_are_of_and_no_others() -> None:
    names = names_in({"features": {"m0": {"names": {"12": "subject"}}, "m1": {"explained": 0.9}}})
    assert names == {"m0.f12": "subject"}
    assert with_names("m0.f12->a1.h0<q>", names) == 'm0.f12 "subject"->a1.h0<q>'
    assert with_names("m0.f1->m10.f12->m0.f123", names) == "m0.f1->m10.f12->m0.f123"
    assert names_in({}) == names_in({"features": {"m0": "?"}}) == {}
