"""The package's face: light to import, and complete when asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from acdc import tasks


def test_importing_tasks_loads_neither_torch_nor_yaml() -> None:
    program = "import sys, tasks; tasks.names(); print([m for m in ('torch', 'numpy', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for home in tasks._HOMES.values() for name in home])
def test_a_lazy_name_is_the_one_of_its_home(name: str) -> None:
    assert getattr(tasks, name).__name__ == name
    assert name in dir(tasks)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'acdc\.tasks' has no attribute 'taks'"):
        _ = tasks.taks


def test_an_unknown_shipped_model_is_refused() -> None:
    with pytest.raises(tasks.UnknownShippedModel, match=r"unknown shipped model: got 'gpt9'"):
        tasks.shipped_model("gpt9")


def test_every_shipped_model_has_its_checkpoint() -> None:
    assert all((tasks.shipped_model(name) / "model.safetensors").is_file() for name in tasks.shipped_models())
