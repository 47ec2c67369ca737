"""Which device the tests run on: the first GPU, or what `--gpu-device` names; without one they are skipped."""

from __future__ import annotations

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gpu-device", default="cuda", help="where the tests of GPUs run (cuda)")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    wanted = torch.device(request.config.getoption("--gpu-device"))
    if wanted.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return wanted
