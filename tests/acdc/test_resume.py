"""A discovery that is interrupted, wherever, and resumed gives the very circuit.json of one that is not."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

import acdc
from acdc.discovery.checkpoint import Checkpoint
from acdc.errors import BadCheckpoint
from acdc.graphs.model import Model
from acdc.models import load_named
from acdc.progress import Progress
from acdc.settings import Edges, Goal, KeptFaithfulness, Method, Setup, Threshold


@cache
def periodic(dtype: str) -> Model:
    return load_named("periodic-2l", Setup().on(dtype=dtype))


@dataclass(frozen=True)
class Asked:
    """A discovery of about a second."""

    method: Method
    goal: Goal
    setup: Setup = field(default_factory=lambda: Setup(prompts=3))

    def discover(
        self, watch: Callable[[Progress], None], checkpoint: Path | None = None, *, resume: bool = False
    ) -> str:
        """The circuit.json, but for the time it was made."""
        result = acdc.discover(
            "periodic",
            periodic(self.setup.compute.dtype),
            method=self.method,
            goal=self.goal,
            setup=self.setup,
            watch=watch,
            checkpoint=checkpoint,
            resume=resume,
        )
        data = result.circuit.to_json()
        assert data.pop("created")
        return json.dumps(data)


ASKED = {
    "acdc": Asked(Method(), KeptFaithfulness(0.9)),
    "acdc for edges": Asked(Method(), Edges(6), Setup(prompts=2)),
    "acdc, refined": Asked(Method(refine=True), KeptFaithfulness(0.8)),
    "acdc, one threshold": Asked(Method(), Threshold(0.4), Setup(prompts=3, metric="kl", ablation="mean")),
    "eap+acdc": Asked(Method("eap+acdc", refine=True), KeptFaithfulness(0.9)),
    "coarse": Asked(Method("coarse"), KeptFaithfulness(0.9)),
    "coarse, nodes": Asked(Method("coarse", level="node"), KeptFaithfulness(0.9)),
}


@cache
def uninterrupted(name: str) -> tuple[str, tuple[Progress, ...]]:
    """What comes out, and everything that was told on the way."""
    seen: list[Progress] = []
    return ASKED[name].discover(seen.append), tuple(seen)


class Interrupted(BaseException):
    """As a Ctrl-C is."""


@dataclass
class Patience:
    """Listens until it has heard so many, and then has heard enough."""

    until: int
    seen: list[Progress] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)
        if len(self.seen) == self.until:
            raise Interrupted


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def interrupt(name: str, checkpoint: Path, until: int, *, resume: bool = False) -> None:
    with pytest.raises(Interrupted):
        ASKED[name].discover(Patience(until), checkpoint, resume=resume)
    assert checkpoint.exists()


def told(progress: Progress) -> Progress:
    return replace(progress, state=None)


@pytest.mark.parametrize("name", ASKED)
def test_after_any_number_of_steps(tmp_path: Path, name: str) -> None:
    wanted, all_told = uninterrupted(name)
    somewhere = random.Random(name).sample(range(2 * len(all_told) // 3, len(all_told)), 2 if name == "acdc" else 1)
    steps = [1, *somewhere, len(all_told)] if name == "acdc" else somewhere
    assert all_told[max(somewhere) - 1].stage != all_told[0].stage or isinstance(ASKED[name].goal, Threshold)
    for step in steps:
        checkpoint = tmp_path / f"{step}.json"
        interrupt(name, checkpoint, step)
        rest: list[Progress] = []
        assert ASKED[name].discover(rest.append, checkpoint, resume=True) == wanted, f"interrupted after {step} steps"
        assert checkpoint.exists(), "it must stay until the caller has saved the result"
        ranking = [p for p in all_told if p.stage == "ranking"]  # no run keeps it, so it is done again
        later = all_told[len(all_told) - len(rest) + len(ranking) :]
        assert [told(p) for p in rest] == [told(p) for p in (*ranking, *later)]
        if name not in (
            "eap+acdc",
            "coarse",
            "coarse, nodes",
            "acdc, refined",
        ):  # which start their current run or its sweeps again
            assert len(rest) == max(1, len(all_told) - step), "what is decided is not decided again, but judged it is"


def test_again_and_again(tmp_path: Path) -> None:
    wanted, all_told = uninterrupted("acdc")
    checkpoint = tmp_path / "checkpoint.json"
    interrupt("acdc", checkpoint, len(all_told) // 4)
    for _ in range(2):
        interrupt("acdc", checkpoint, len(all_told) // 4, resume=True)
    assert ASKED["acdc"].discover(lambda progress: None, checkpoint, resume=True) == wanted


def test_without_resume_a_checkpoint_is_started_over(tmp_path: Path) -> None:
    wanted, all_told = uninterrupted("acdc")
    checkpoint = tmp_path / "checkpoint.json"
    interrupt("acdc", checkpoint, len(all_told) // 2)
    seen: list[Progress] = []
    assert ASKED["acdc"].discover(seen.append, checkpoint) == wanted
    assert len(seen) == len(all_told)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (Asked(Method(), KeptFaithfulness(0.8)), r"algorithm was .*'fraction': 0.9.* is now .*'fraction': 0.8"),
        (Asked(Method(refine=True), KeptFaithfulness(0.9)), r"algorithm was .*'refine': False.* now .*'refine': True"),
        (
            Asked(Method(), KeptFaithfulness(0.9), Setup(prompts=3, seed=1)),
            r"prompts was .*'seed': 0.* now .*'seed': 1",
        ),
        (Asked(Method(), KeptFaithfulness(0.9), Setup(prompts=3, ablation="zero")), "ablation was 'resample', is now"),
        (Asked(Method(), KeptFaithfulness(0.9), Setup(prompts=3, metric="kl")), "metric was .*'logit_difference'"),
        (Asked(Method(), KeptFaithfulness(0.9), Setup(prompts=3).on(dtype="float64")), "model was .* now .*'float64'"),
    ],
    ids=["goal", "method", "seed", "ablation", "metric", "dtype"],
)
def test_another_discovery_does_not_go_on_from_it(tmp_path: Path, other: Asked, difference: str) -> None:
    checkpoint = tmp_path / "checkpoint.json"
    interrupt("acdc", checkpoint, 3)
    before = checkpoint.read_bytes()
    with pytest.raises(BadCheckpoint, match=difference):
        other.discover(lambda progress: None, checkpoint, resume=True)
    assert checkpoint.read_bytes() == before


def test_scoring_keeps_nothing_to_resume(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.json"
    asked = Asked(Method("eap"), Edges(10))
    with pytest.raises(Interrupted):
        asked.discover(Patience(1), checkpoint)
    assert not checkpoint.exists()
    with pytest.raises(BadCheckpoint, match="there is nothing to resume"):
        asked.discover(lambda progress: None, checkpoint, resume=True)


_CHILD = """
import sys
from pathlib import Path
from tests.acdc.test_resume import ASKED
ASKED["acdc"].discover(lambda progress: print(progress.done, flush=True), Path(sys.argv[1]))
"""


def test_after_kill_9_at_a_random_moment(tmp_path: Path) -> None:
    """Killed from outside while it works, which may be in the middle of writing its checkpoint."""
    wanted, all_told = uninterrupted("acdc")
    checkpoint = tmp_path / "checkpoint.json"
    lines = random.randint(1, len(all_told) * 3 // 4)
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", _CHILD, str(checkpoint)], cwd=root, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(lines):
            assert child.stdout.readline()
        child.kill()
    assert child.returncode == -9
    state = Checkpoint(checkpoint, json.loads(checkpoint.read_text())["request"]).load()
    assert state["current"]["position"]["decided"] > 0
    assert ASKED["acdc"].discover(lambda progress: None, checkpoint, resume=True) == wanted, f"killed after {lines}"
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["checkpoint.json"]
