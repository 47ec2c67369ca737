"""What every test needs: no network, one thread, checked tensor shapes, and tiny checkpoints."""

from __future__ import annotations

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    WANDB_MODE="disabled",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
)

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook(["acdc", "graphs", "tasks"], "beartype.beartype")
torch.set_num_threads(1)
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

pytest_plugins = ["pytester"]

from tests.checkpoints import Checkpoints  # noqa: E402  # what the tests import must find the hook in place


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """Tiny random checkpoints of every supported architecture, by name."""
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))
