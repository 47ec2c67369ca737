"""A checkpoint's configuration tells the graph that its loaded model has."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc import graphs, tasks
from acdc.graphs.configuration import graph_of_checkpoint
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_graph_is_that_of_the_loaded_model(architecture: Architecture, checkpoints: Checkpoints) -> None:
    assert graph_of_checkpoint(checkpoints.path(architecture)) == checkpoints.model(architecture).graph


@pytest.mark.parametrize("name", tasks.shipped_models())
def test_the_graph_of_every_shipped_model_is_told(name: str) -> None:
    directory = tasks.shipped_model(name)
    assert graph_of_checkpoint(directory) == graphs.load(directory).graph


@pytest.mark.parametrize(
    "config", [None, "", "{}", "[]", '{"model_type": "gpt2", "n_layer": 0, "n_head": 1, "n_embd": 2}']
)
def test_what_is_no_configuration_tells_nothing(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert graph_of_checkpoint(tmp_path) is None
