"""Layers on several devices, or kept on the CPU: circuits and gradients are those of one device, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from acdc import graphs
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from tests.checkpoints import Architecture, Checkpoints
from tests.fake_devices import FakeDevices
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, random_circuits


@pytest.fixture(scope="module")
def devices() -> Iterator[FakeDevices]:
    with FakeDevices() as fake:
        yield fake


def run(model: Model) -> tuple[Tensor, Tensor]:
    """The logits of some circuits, and the gradient of those of masks at the masks."""
    prompts = (part.to("xpu:0") for part in (CLEAN, CORRUPT, POSITIONS))
    executor = Executor(model, *prompts)
    names = random_circuits([edge.name for edge in model.graph.edges()], 4)
    logits = executor.run([Circuit.from_names(model.graph, each) for each in names])
    masks = torch.full((1, len(model.graph.receivers), len(model.graph.senders)), 0.5).to("xpu:0").requires_grad_()
    executor.run_masks(masks).square().sum().backward()
    assert masks.grad is not None
    return logits, masks.grad


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "mixtral", "gptj"])
def test_circuits_and_gradients_are_those_of_one_device(
    architecture: Architecture, checkpoints: Checkpoints, devices: FakeDevices
) -> None:
    found = []
    for named in ("xpu:0", "xpu:0,xpu:1", "xpu:0,cpu"):
        model = graphs.load(checkpoints.path(architecture), device=named)
        devices.moves.clear()
        found.append(run(model))
        assert (devices.moves["xpu:0", "xpu:1"] > 0) == ("xpu:1" in named)
    for logits, gradient in found[1:]:
        assert torch.equal(logits, found[0][0])
        assert torch.equal(gradient, found[0][1])


def test_what_is_not_moved_is_noticed(devices: FakeDevices) -> None:
    here, there = torch.ones(2).to("xpu:0"), torch.ones(2).to("xpu:1")
    assert str((here + here).device) == "xpu:0"
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device, but found"):
        here + there
