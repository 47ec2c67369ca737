"""A model whose layers are on several devices: what is found is what one device finds, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import acdc
from acdc.errors import BadSetting
from acdc.explain.copying import copying_scores
from acdc.graphs.errors import BadDevices
from acdc.graphs.model import Model
from acdc.graphs.model.placement import Placement
from acdc.models import check_device
from acdc.settings import Edges, Goal, Setup, Threshold
from tests.acdc.sweep.grids import checkpoint
from tests.fake_devices import FakeDevices

SEVERAL = ("xpu:0,xpu:1", "xpu:0,cpu")


@pytest.fixture(scope="module")
def devices() -> Iterator[FakeDevices]:
    with FakeDevices() as fake:
        yield fake


@pytest.fixture(scope="module")
def models(devices: FakeDevices, tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """The same model on one device, on two, and with half of its layers on the CPU."""
    copy = checkpoint(tmp_path_factory.mktemp("model") / "copy", 0.0)
    return [acdc.load_model(copy, device=device) for device in ("xpu:0", *SEVERAL)]


def test_layers_are_where_they_were_asked_for_and_all_else_is_on_the_first_device(models: list[Model]) -> None:
    assert [[str(layer.device) for layer in model.layers] for model in models] == [
        ["xpu:0", "xpu:0"],
        ["xpu:0", "xpu:1"],
        ["xpu:0", "cpu"],
    ]
    assert {str(model.device) for model in models} == {"xpu:0"}
    assert [",".join(map(str, model.devices)) for model in models] == ["xpu:0", *SEVERAL]
    assert {model.fingerprint() for model in models} == {models[0].fingerprint()}


@pytest.mark.parametrize(("method", "goal"), [("acdc", Threshold(0.4)), ("eap-ig", Edges(12))])
def test_every_kind_of_search_finds_the_same(
    method: str, goal: Goal, models: list[Model], devices: FakeDevices
) -> None:
    found = []
    for model in models:
        devices.moves.clear()
        result = acdc.discover("periodic", model, method=method, goal=goal, setup=Setup(prompts=2, seed=3))
        found.append((result.circuit.edges, result.circuit.scores, result.faithfulness))
        assert (devices.moves["xpu:0", "xpu:1"] > 0) == (len(found) == 2), "activations go to the weights"
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_what_looks_at_weights_sees_the_same(models: list[Model]) -> None:
    one, two, offloaded = map(copying_scores, models)
    assert torch.equal(one, two)
    assert torch.equal(one, offloaded)


def test_devices_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="the device cpu is there twice in 'cpu,cpu'; name each once"):
        check_device("cpu,cpu")
    with pytest.raises(BadSetting, match=r"the device 'cpu,nonsense' cannot be used here .*; try --device cpu"):
        check_device("cpu,nonsense")
    three = [torch.device("meta", index) for index in range(3)]
    with pytest.raises(BadDevices, match="3 devices are more than the model's 2 layers, of which each is on one"):
        Placement.evenly(three, 2)
    assert [device.index for device in Placement.evenly(three, 7).layers] == [0, 0, 0, 1, 1, 2, 2]


def test_what_is_made_from_a_program_is_on_one_device() -> None:
    for device in ("cpu,meta", "auto"):
        with pytest.raises(BadSetting, match=f"planted-chain:0 is small and made on one device: got --device {device}"):
            acdc.load_model("planted-chain:0", device=device)


def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert acdc.load_model("periodic-2l", device="auto").devices == (torch.device("cpu"),)
