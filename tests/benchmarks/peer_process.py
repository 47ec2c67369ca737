"""Scoring all edges in a process of its own, which loads a model once and then scores as often as it is told to.

Nothing but the standard library and torch is needed here, so that it runs in another implementation's environment.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.benchmarks.memory import ProcessMeter

ROOT = Path(__file__).parents[2]


class ScoringFailed(RuntimeError):
    """A process ended before it had scored."""


@dataclass(frozen=True)
class ScoredPrompt:
    """A pair of prompts as text and as tokens, measured at the last position by one answer less one distractor."""

    clean: str
    corrupt: str
    clean_tokens: list[int]
    corrupt_tokens: list[int]
    answer: int
    distractor: int


@dataclass(frozen=True)
class Scoring:
    """How edges are scored: a method as circuitkit calls it, by "logit_difference" or "kl".

    Integrated gradients take the gradient at `points` of the path; with `doubling` at more of them where the
    implementation sees that they are too few.
    """

    points: int = 5
    doubling: bool = False
    method: str = "EAP-IG-inputs"
    metric: str = "logit_difference"


@dataclass(frozen=True)
class ScoringTask:
    """What is scored, and how: a checkpoint directory's edges, on these prompts, so many in a batch."""

    model: str
    prompts: list[ScoredPrompt]
    scoring: Scoring
    threads: int
    batch: int

    @classmethod
    def read(cls, path: Path) -> ScoringTask:
        """What `write` wrote."""
        data = json.loads(path.read_text("utf-8"))
        prompts = [ScoredPrompt(**prompt) for prompt in data["prompts"]]
        return cls(**{**data, "prompts": prompts, "scoring": Scoring(**data["scoring"])})

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), "utf-8")


@dataclass(frozen=True)
class Spent:
    """What one scoring took: seconds, those of a processor, and MB (of 10^6 bytes) resident at most, in all and beyond
    the loaded model.

    On a busy machine processors' seconds say more. `points` is at how many points of the path the gradient was taken,
    at most.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    above_mb: float
    points: int


class ScoringProcess:
    """A process that has loaded and waits; `module` is a script of this folder that calls `serve`.

    Raises: ScoringFailed when it ends instead.
    """

    def __init__(self, python: str, module: str, task: ScoringTask, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        task.write(directory / "task.json")
        self.scores, self._log, self._module = directory / "scores.json", directory / "log.txt", module
        one = {name: str(task.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-m", module, str(directory)],
                cwd=ROOT,
                env={**os.environ, **one, **offline},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self.versions: dict[str, str] = self._answer()
        except BaseException:
            self.close()
            raise

    def score(self) -> Spent:
        """Score once; `scores` then holds the scores in MIB's form."""
        assert self._process.stdin is not None
        self._process.stdin.write("score\n")
        self._process.stdin.flush()
        return Spent(**self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        said = self._log.read_text("utf-8").strip().splitlines() or ["nothing"]
        raise ScoringFailed(f"{self._module} ended with {self._process.wait()}, its last words: {said[-1]}")

    def __enter__(self) -> ScoringProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    load: Callable[[ScoringTask, Path], Callable[[], tuple[int, Callable[[Path], None]]]], *packages: str
) -> None:
    """In the process: load, then score for every line of input; what is timed is only the call of what `load` gave.

    That gives the number of points, and what writes the scores. `packages` are those whose versions are told.
    """
    from importlib.metadata import version

    import torch

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log
    directory = Path(sys.argv[1])
    task = ScoringTask.read(directory / "task.json")
    torch.set_num_threads(task.threads)
    score = load(task, directory)
    print(json.dumps({name: version(name) for name in packages}), file=answers)
    for _ in sys.stdin:
        meter = ProcessMeter()
        start = time.perf_counter(), time.process_time()
        points, write = score()
        seconds, processor = time.perf_counter() - start[0], time.process_time() - start[1]
        above = meter.peak() / 1e6
        write(directory / "scores.json")
        unit = 1 if sys.platform == "darwin" else 1024
        peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps(asdict(Spent(seconds, processor, peak, above, points))), file=answers)
