"""What is no place for work, and what lacks for one, is one message."""

from __future__ import annotations

import sys

import pytest

from acdc.errors import BadSetting, NoCluster
from acdc.pieces.cluster import check_place, cluster

pytestmark = pytest.mark.filterwarnings(  # of Ray itself
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


def test_a_ray_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NoCluster, match=r"pip install 'acdc-circuits\[ray\]'"), cluster("ray"):
        pass


def test_an_address_that_does_not_answer_is_told() -> None:
    pytest.importorskip("ray")
    with (
        pytest.raises(NoCluster, match=r"no Ray cluster can be used at ray://127\.0\.0\.1:1: "),
        cluster("ray://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize("on", ["", "here", "ray://", "ray://host", "ray://:1", "ray://host:99999", "http://a:1"])
def test_what_is_no_place_is_refused(on: str) -> None:
    with pytest.raises(BadSetting, match="wanted local, ray"):
        check_place(on)
