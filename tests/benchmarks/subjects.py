"""What is measured on: a model as ours and as Hugging Face's, prompts, and thresholds that leave a sparse circuit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from acdc import graphs, tasks
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from acdc.tasks.prompts import PromptPairs
from tests.benchmarks import planted
from tests.benchmarks.planted import Shape

PLANTED = {
    "planted-2l-tiny": Shape(2, 4, 32, 101, loud_heads=3, loud_mlps=1),
    "planted-4l": Shape(4),
    "planted-8l": Shape(8),
    "planted-12l": Shape(12),
}
SHIPPED = {"periodic-2l": "periodic", "everyday-4l": "ioi"}  # and the task that is asked of it
NAMES = (*SHIPPED, *PLANTED)

FRACTION = 0.01
"""Of what the metric changes when the whole model is ablated, how much an edge must be worth to be kept: in the planted
models that leaves 40 to 100 edges.
"""


@dataclass(frozen=True)
class Subject:
    """One model with prompts for it."""

    name: str
    model: Model
    pairs: PromptPairs

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.model.device

    @cached_property
    def plain(self) -> Any:
        """The same weights as Hugging Face runs them by default; without gradients of weights."""
        model: Any
        if self.name in PLANTED:
            model = planted.plain(PLANTED[self.name])
        else:
            from transformers import AutoModelForCausalLM

            model = AutoModelForCausalLM.from_pretrained(tasks.shipped_model(self.name), dtype=torch.float32)
        return model.to(self.device).requires_grad_(False).eval()

    def problem(self, measured: str) -> Problem:
        """A problem of which nothing has been run yet."""
        return Problem(self.model, self.pairs, metric(measured))

    def threshold(self, measured: str) -> float:
        """The threshold to prune with, in the metric's units."""
        full, none = self.problem(measured).bounds
        return FRACTION * abs(full - none)


def subject(name: str, device: torch.device, *, few: bool = False) -> Subject | None:
    """The subject of that name, with 64 prompts of a task or 8 random ones of 16 tokens; None if it is not installed.

    With `few`, less than that.
    """
    if name in PLANTED:
        model = planted.bridged(PLANTED[name], name, device=device)
        return Subject(name, model, planted.prompts(model, 4 if few else 8, 8 if few else 16))
    if name not in tasks.shipped_models():
        return None
    model = graphs.load(tasks.shipped_model(name), device=device)
    return Subject(name, model, tasks.get(SHIPPED[name]).build(model.tokenizer, 8 if few else 64, 0).discovery)
