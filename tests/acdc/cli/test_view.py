"""`acdc view` says where it serves, serves there, and ends when asked to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import acdc as package
from tests.acdc.cli.command_line import refused


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process where a test fails before it ends."""
    try:
        yield
    finally:
        process.kill()


def test_it_serves_until_ctrl_c(found: Path) -> None:
    Path("runs/broken").mkdir(parents=True)
    Path("runs/broken/circuit.json").write_text("{}")
    found.rename("runs/found")
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    # what runs in the background of a shell is started without Ctrl-C
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom acdc.cli import main; main()"
    )
    words = [sys.executable, "-c", script, "view"]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as serving,
        ending(serving),
    ):
        assert serving.stdout is not None
        said = serving.stdout.readline()
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", said)
        assert said == f"1 run in runs: {address} (Ctrl-C ends it)\n"
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert "periodic-2l" in answer.read().decode()
        serving.send_signal(signal.SIGINT)
        out, err = serving.communicate(timeout=20)
    assert (serving.returncode, out) == (0, "\nended\n")
    assert err.startswith("warning: not listed: runs/broken/circuit.json is no circuit file of schema")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no runs can be listed in runs: there is no such directory; give the folder that `acdc discover` writes"),
        (("found/circuit.json",), "no runs can be listed in found/circuit.json: it is a file"),
        (("found", "--port", "70000"), "--port is 70000; wanted a number from 1 to 65535, or 0 for a free one"),
        (("found", "--port", "-1"), "--port is -1; wanted a number from 1"),
    ],
)
def test_what_cannot_be_served_is_refused(found: Path, words: tuple[str, ...], message: str) -> None:
    assert refused("view", *words).startswith(message)
