"""The peak memory of one piece of work above that of the loaded model, measured in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from typing_extensions import assert_never

if TYPE_CHECKING:
    import torch

    from tests.benchmarks.subjects import Subject

Work = Literal["attribution", "integrated-gradients", "greedy-kl", "greedy-logit_difference", "crossing", "plain"]
"""What is measured; `plain` is 2 forwards and 1 backward (to the embeddings) of the Hugging Face model."""

LIBRARIES = ["torch", "transformer_lens.model_bridge.sources._bridge_builder", "transformers.models.gpt2.modeling_gpt2"]
"""Imported once for all processes; none of them may touch a GPU, which a fork cannot share."""


@dataclass(frozen=True)
class Peak:
    """How many MB (of 10^6 bytes) beyond the loaded model a piece of work took at most, and how long it took."""

    megabytes: float
    seconds: float


def measure(name: str, work: Work, device: torch.device, *, few: bool = False) -> Peak:
    """Measure in a process of its own, forked from one that has imported libraries and done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measured, name, work, device, few=few).result()


def _measured(name: str, work: Work, device: torch.device, *, few: bool) -> Peak:
    from tests.benchmarks.stopwatch import timed
    from tests.benchmarks.subjects import subject

    measured = subject(name, device, few=few)
    assert measured is not None, f"{name} is not installed"
    once = _work(measured, work, few=few)
    meter = _GpuMeter(device) if device.type == "cuda" else ProcessMeter()
    spent, _ = timed(once, device)
    return Peak(meter.peak() / 1e6, spent)


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


class ProcessMeter:
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
