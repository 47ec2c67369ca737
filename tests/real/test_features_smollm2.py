"""On SmolLM2-135M features of an MLP, trained by the shipped script, fit where they belong and make circuits."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from pydoc_data.topics import topics

import pytest

import acdc
from acdc.cli.exits import Exit
from acdc.graphs.circuit import Circuit
from acdc.models import load_named, resolve
from acdc.problems import problems
from acdc.settings import Setup
from tests.acdc.cli.command_line import acdc as command

SCRIPT = Path(acdc.__file__).parents[1] / "tasks" / "models" / "everyday-4l-m0-sae" / "train.py"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,024 features of what m10 writes on Python's own documentation, made in about two minutes."""
    made = tmp_path_factory.mktemp("features")
    texts = made / "topics.txt"
    texts.write_text("\n".join(topics.values()), "utf-8")
    arguments: dict[str, object] = {
        "model": resolve("smollm2-135m"),
        "texts": texts,
        "layer": 10,
        "features": 1024,
        "k": 32,
    }
    arguments |= {"tokens": 20_000, "steps": 700, "losses": 1, "out": made / "sae"}
    with pytest.MonkeyPatch.context() as patch:
        words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
        patch.setattr("sys.argv", ["train.py", *words])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return made / "sae"


def test_they_explain_most_of_what_the_mlp_writes_and_say_what_they_do(features: Path) -> None:
    ran = command("features", "capitals", features, "-m", "smollm2-135m", "--prompts", "8", "--json")
    assert ran.code == Exit.DONE, ran.err
    said = json.loads(ran.out)
    assert said["fit"]["explained"] > 0.5
    assert len(said["units"]) == 8


def test_at_another_layer_they_are_refused(features: Path) -> None:
    elsewhere = ("--hook", "blocks.20.hook_mlp_out", "--prompts", "8")
    ran = command("features", "capitals", features, "-m", "smollm2-135m", *elsewhere)
    assert ran.code == Exit.BAD_INPUT
    assert "explain" in ran.err


def test_with_the_error_they_are_the_whole_model(features: Path) -> None:
    setup = Setup("kl", prompts=8, split=str(features))
    problem = problems(acdc.get_task("capitals"), load_named("smollm2-135m", setup), setup)[0]
    (split,) = problem.graph.splits
    assert {"rest", "error"} < set(split.parts)
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0].mean(-1).tolist()
    assert full == pytest.approx(0, abs=1e-3)
    assert none > 1
