"""The peak memory of one piece of work above that of the loaded model, measured in a process of its own.

Run as `python -m tests.benchmarks.memory SUBJECT WORK DEVICE [--few]`, it prints one line of JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from typing_extensions import assert_never

if TYPE_CHECKING:
    import torch

    from tests.benchmarks.subjects import Subject

Work = Literal["attribution", "integrated-gradients", "greedy-kl", "greedy-logit_difference", "crossing", "plain"]
"""What is measured; `plain` is 2 forwards and 1 backward (to the embeddings) of the Hugging Face model."""

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Peak:
    """How many MB (of 10^6 bytes) beyond the loaded model a piece of work took at most, and how long it took."""

    megabytes: float
    seconds: float


def measure(name: str, work: Work, device: torch.device, *, few: bool = False) -> Peak:
    """Measure in a fresh process, so that nothing done before counts.

    Raises: RuntimeError when that process fails.
    """
    command = [sys.executable, "-m", "tests.benchmarks.memory", name, work, str(device), *["--few"] * few]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with code {done.returncode}: {done.stderr.strip()}")
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    import torch

    from tests.benchmarks.stopwatch import timed
    from tests.benchmarks.subjects import NAMES, subject

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=NAMES)
    parser.add_argument("work", choices=get_args(Work))
    parser.add_argument("device", type=torch.device)
    parser.add_argument("--few", action="store_true")
    asked = parser.parse_args()
    measured = subject(asked.subject, asked.device, few=asked.few)
    assert measured is not None, f"{asked.subject} is not installed"
    work = _work(measured, asked.work, few=asked.few)
    meter = _GpuMeter(asked.device) if asked.device.type == "cuda" else _ProcessMeter()
    spent, _ = timed(work, asked.device)
    print(json.dumps(asdict(Peak(meter.peak() / 1e6, spent))))


def _work(subject: Subject, work: Work, *, few: bool) -> Callable[[], object]:
    """The work itself, once everything that is not part of it has been done."""
    from acdc.algorithms.attribution import Attribution, IntegratedGradients
    from acdc.algorithms.greedy import GreedyPruning
    from acdc.attacks.crossing import crossing
    from tests.benchmarks import crossed
    from tests.benchmarks.plain_gradients import PlainGradients

    match work:
        case "attribution":
            return lambda: list(Attribution().walk(subject.problem("logit_difference")))
        case "integrated-gradients":
            return lambda: list(IntegratedGradients().walk(subject.problem("logit_difference")))
        case "greedy-kl" | "greedy-logit_difference":
            measured = work.removeprefix("greedy-")
            algorithm = GreedyPruning(subject.threshold(measured))
            return lambda: algorithm.discover(subject.problem(measured))
        case "crossing":
            problem, circuit = crossed.problem(subject, few=few), crossed.circuit(subject)
            return lambda: crossing(problem, circuit)
        case "plain":
            return PlainGradients(subject).runs(1)
        case _:
            assert_never(work)


class _ProcessMeter:
    """The most memory this process has had resident since now, beyond what it has now."""

    def __init__(self) -> None:
        gc.collect()
        with suppress(OSError, AttributeError):  # give back what loading has freed, or work could use it unnoticed
            ctypes.CDLL(None).malloc_trim(0)
        self._exact = True
        try:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
            self._before = self._status("VmRSS")
        except OSError:  # no Linux: then the peak of loading hides as much of what comes after
            self._exact = False
            self._before = self._highest()

    def peak(self) -> int:
        """In bytes."""
        return (self._status("VmHWM") if self._exact else self._highest()) - self._before

    def _status(self, field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))

    def _highest(self) -> int:
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class _GpuMeter:
    """The most memory torch has had allocated on a GPU since now, beyond what it has now."""

    def __init__(self, device: torch.device) -> None:
        import torch

        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
        self._device, self._before = device, torch.cuda.memory_allocated(device)

    def peak(self) -> int:
        """In bytes."""
        import torch

        return int(torch.cuda.max_memory_allocated(self._device)) - self._before


if __name__ == "__main__":
    main()
