"""What `--help` promises is so: defaults, names, examples; and it is readable in 80 columns."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import acdc as package
from acdc.cli.commands import command
from acdc.graphs.ablation import Ablation
from acdc.methods import METHODS
from acdc.settings import DTYPES
from acdc.tasks.known_metrics import METRICS, metric_names
from tests.acdc.cli.command_line import acdc

PARSER = command()
COMMANDS = (
    "tasks",
    "models",
    "init",
    "explore",
    "features",
    "discover",
    "evaluate",
    "explain",
    "stability",
    "attack",
    "pin",
    "show",
    "export",
    "view",
    "report",
    "diff",
    "cut",
    "test",
    "schema",
    "sweep",
    "bench",
)

_HEAVY = """
import json, sys
from acdc.cli import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    heavy = {"torch", "transformers", "transformer_lens"} & {*sys.modules}
    assert (code, heavy) == (0, set()), (words, code, heavy)
"""


def options(name: str) -> list[Any]:
    return [parameter for parameter in PARSER.commands[name].params if parameter.param_type_name == "option"]


def test_help_lists_every_command_in_a_line() -> None:
    shown = acdc("--help").out.splitlines()
    listed = [line.split()[0] for line in shown if re.match(r"  [a-z]+ +[A-Z].*\.$", line)]
    assert tuple(listed) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_one_line_of_80_columns(name: str) -> None:
    ran = acdc(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    for option in options(name):
        assert any(option.opts[0] in line and line.endswith(option.help) for line in ran.out.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_what_the_help_says(name: str) -> None:
    for option in options(name):
        if option.default not in (None, False):
            assert option.help.endswith(f"[{option.default}]")


@pytest.mark.parametrize("name", ["discover", "evaluate"])
def test_every_metric_ablation_and_precision_is_named(name: str) -> None:
    shown = acdc(name, "--help").out
    for choice in (*metric_names(), *(kind.value for kind in Ablation)):
        assert re.search(rf"^    {choice} ", shown, re.MULTILINE)
    assert all(dtype in shown for dtype in DTYPES)


@pytest.mark.parametrize("name", ["discover", "evaluate"])
def test_every_other_name_of_a_metric_is_named(name: str) -> None:
    shown = acdc(name, "--help").out
    for metric, entry in METRICS.items():
        for alias in entry.aliases:
            assert re.search(rf"^    {metric} \({alias}\)", shown, re.MULTILINE)


@pytest.mark.parametrize("name", ["discover", "bench"])
def test_every_method_is_named(name: str) -> None:
    shown = acdc(name, "--help").out.partition("Methods:")[2]
    assert re.findall(r"^    (\S+)", shown, re.MULTILINE)[: len(METHODS)] == list(METHODS)
    assert all(entry.help in shown and entry.source in shown for entry in METHODS.values())


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_example_is_a_command_line_that_parses(name: str) -> None:
    shown = acdc(*filter(None, [name]), "--help").out
    for line in re.findall(r"^ +acdc (\S.*)$", shown, re.MULTILINE):
        words = shlex.split(re.split(r" [|>]", line)[0])
        PARSER.commands[words[0]].make_context(words[0], words[1:])


def test_the_version_is_the_package_s() -> None:
    assert acdc("--version").out == f"acdc {package.__version__}\n"


def test_no_command_at_all_shows_the_help() -> None:
    ran = acdc()
    assert "A first circuit, in a minute:" in ran.out + ran.err


def test_commands_that_run_no_model_load_neither_torch_nor_transformer_lens(attacked: Path) -> None:
    circuit = str(attacked / "whole.json")
    lines = [
        ["tasks"],
        ["models"],
        ["schema"],
        ["init", "mine.yaml"],
        ["show", circuit, "--top", "3"],
        ["show", circuit, "--json"],
        *(["show", circuit, "--render", f"drawn.{form}"] for form in ("svg", "dot", "graphml")),
        *(["show", circuit, "--mib", f"mib.{form}"] for form in ("json", "safetensors")),
        *(["export", circuit, f"out.{form}"] for form in ("graphml", "safetensors", "dot")),
        ["export", circuit, "out.json", "--as", "mib"],
        ["pin", str(attacked), "test_new.acdc.yaml"],
        ["pin", str(attacked), "test_new.acdc.yaml", "--case", "2"],
        *([name, "--help"] for name in COMMANDS),
    ]
    root = Path(package.__file__).parents[1]
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{_HEAVY}", json.dumps(lines)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
