"""One file in an empty directory is a test: it passes on the model it is about and fails on one taught otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pytest
import torch

from acdc import tasks
from acdc.tasks.builtin import ioi
from tests.acdc.cli.command_line import acdc
from tests.acdc.pytest_sessions import run

pytestmark = pytest.mark.usefixtures("everything_loaded")
HYPOTHESES = Path(__file__).parents[1] / "hypotheses"


def text(model: str) -> str:
    """A hypothesis about indirect objects with its edges inline, in one file."""
    rows = re.findall(r'"edge": "([^"]+)"', (HYPOTHESES / "ioi.circuit.json").read_text("utf-8"))
    edges = "".join(f"  - {edge}\n" for edge in rows)
    return f"""\
task: ioi
model: {model}
circuit:
{edges}setup: {{metric: logit_difference, prompts: 16}}
claims:
  behaviour: {{at_least: 0.9}}
  faithfulness: {{at_least: 0.7}}
  size: {{at_most: 100}}
"""


@pytest.fixture(scope="module")
def taught_otherwise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`everyday-4l`, fine-tuned for a few steps on sentences in which whoever gives also receives."""
    import transformers as hf

    directory = tmp_path_factory.mktemp("taught-otherwise")
    model = hf.AutoModelForCausalLM.from_pretrained(tasks.shipped_model("everyday-4l"))
    tokenizer = hf.AutoTokenizer.from_pretrained(tasks.shipped_model("everyday-4l"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rng = numpy.random.default_rng(0)
    for _ in range(20):
        pairs = [ioi.draw(rng) for _ in range(32)]
        rows = [tokenizer(pair.clean + pair.distractors[0])["input_ids"] for pair in pairs]
        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        labels = torch.full_like(tokens, -100)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = torch.tensor(row)
            labels[index, len(row) - 1] = row[-1]
        model(tokens, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def test_it_passes_on_its_own_model(pytester: pytest.Pytester) -> None:
    (pytester.path / "test_ioi.acdc.yaml").write_text(text("everyday-4l"))
    run(pytester).assert_outcomes(passed=3)
    ran = acdc("test", pytester.path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "3 passed, 0 failed, 0 errors"


def test_it_fails_on_another_checkpoint_and_names_what_broke(pytester: pytest.Pytester, taught_otherwise: Path) -> None:
    file = pytester.path / "test_ioi.acdc.yaml"
    file.write_text(text(str(taught_otherwise)))
    ran = run(pytester, "-rf")
    ran.assert_outcomes(passed=1, failed=2)
    ran.stdout.fnmatch_lines(
        ["*the claim behaviour does not hold", "*the claim faithfulness *", "FAILED test_ioi.acdc.yaml::behaviour*"]
    )
    file.write_text(text("everyday-4l"))
    tested = acdc("test", file, "--model", taught_otherwise)
    assert tested.code == 1
    assert f"FAILED  {file}::behaviour: " in tested.out
    assert f"FAILED  {file}::faithfulness: " in tested.out
    assert tested.err == "error: 2 of 3 claims do not hold\n"
