"""What every test needs: no network, one thread, checked tensor shapes, and tiny checkpoints."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    WANDB_MODE="disabled",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",  # torch reads it when it is imported
    JAX_DISABLE_MOST_OPTIMIZATIONS="1",  # compiling Tracr's models takes longer than running them
)

import hypothesis
import pytest
from jaxtyping import install_import_hook

from tests.layout import PACKAGES, module_name, modules

# Checking costs more than running where values are many and small; it is there for tensors, so where there are some.
WITH_TENSORS = [
    module_name(file)
    for package in PACKAGES
    for file in modules(package)
    if "from jaxtyping import" in file.read_text("utf-8")
]
install_import_hook(WITH_TENSORS, "tests.shape_checks.first_calls")
gc.set_threshold(20_000, 20, 10)  # looking for garbage as often as usual takes as long as a hundred small tests
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

pytest_plugins = ["pytester"]

from tests import shape_checks  # noqa: E402  # what the tests import must find the hook in place

shape_checks.functions_within_functions_once()

if TYPE_CHECKING:
    from tests.checkpoints import Checkpoints


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported lives as long as the process, so nobody looks for garbage in it again and again."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The shapes of every test's first calls are checked, its fixtures' included."""
    shape_checks.start_again()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """Tiny random checkpoints of every supported architecture, by name."""
    from tests.checkpoints import Checkpoints  # loads torch, which a process that only hands out tests does without

    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))
