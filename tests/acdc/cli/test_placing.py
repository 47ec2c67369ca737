"""`--on` of every command that has it: a place that there is not is told before anything is loaded or written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.acdc.cli.command_line import refused

COMMANDS = {
    "discover": ("discover", "periodic", "--faithfulness", "0.8"),
    "stability": ("stability", "found", "--resamples", "1"),
    "attack": ("attack", "found", "--only", "search", "--shards", "2"),
    "bench": ("bench", "--quick", "--models", "planted-chain"),
}
EVERY = pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)


@EVERY
def test_what_is_no_place_is_refused(words: tuple[str, ...], found: Path) -> None:
    assert refused(*words, "--on", "cluster").startswith("--on is 'cluster'; wanted local, ray")


@EVERY
def test_a_ray_that_is_not_there_is_the_environments_lack(
    words: tuple[str, ...], found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "ray", None)
        assert "--on ray needs Ray, which is not installed" in refused(*words, "--on", "ray", code=3)
    pytest.importorskip("ray")
    message = refused(*words, "--on", "ray://127.0.0.1:1", code=3)
    assert "no Ray cluster can be used at ray://127.0.0.1:1" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("discover", "periodic", "--method", "eap-ig"), "got --method eap-ig, which does not prune; leave out --on"),
        (("discover", "periodic", "--threshold", "1"), "got a goal of one threshold; leave out --on"),
        (("discover", "periodic", "--minutes", "1"), "got a goal of minutes; leave out --on"),
        (("discover", "periodic", "--robust"), "--on ray has no meaning with --robust"),
        (("discover", "periodic", "--dry-run"), "--on ray has no meaning with --dry-run"),
        (("attack", "found"), "--on ray searches in several shards at once, and there is 1; give --shards N"),
        (("bench", "--frontier"), "--on has no meaning with --frontier"),
    ],
)
def test_what_is_not_in_pieces_is_not_made_elsewhere(words: tuple[str, ...], message: str, found: Path) -> None:
    assert message in refused(*words, "--on", "ray")
