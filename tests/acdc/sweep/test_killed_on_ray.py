"""A driver on Ray that is killed in the middle: the same command goes on, and no cell that is done is made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from acdc.sweep.demand import demands
from acdc.sweep.folder import SweepFolder
from acdc.sweep.on_ray import run_on_ray
from acdc.sweep.run import kept_and_left
from tests.acdc.sweep.grids import cells_of, events, small
from tests.acdc.sweep.in_workers import makes_nothing_slowly
from tests.layout import ROOT

pytestmark = pytest.mark.filterwarnings(  # of Ray itself
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


def test_a_driver_that_is_killed_loses_no_cell_that_is_done_and_makes_none_twice(ray: Any, tmp_path: Path) -> None:
    grid = small(tmp_path, seeds=str(list(range(8))))
    cells, folder = cells_of(grid), SweepFolder(tmp_path / "ray")
    folder.directory.mkdir()
    address = ray.get_runtime_context().gcs_address
    words = [sys.executable, "-m", "tests.acdc.sweep.driver_on_ray", address, str(grid), str(folder.directory)]
    driver = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while sum(event == "done" for event, _ in events(folder)) < 3:
        assert driver.poll() is None
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait(60) == -signal.SIGKILL
    kept, left = kept_and_left(cells, folder)
    assert 3 <= len(kept) < len(cells)
    ended = list(run_on_ray(list(demands(left)), folder, ray, makes_nothing_slowly))
    assert {one.record["status"] for one in ended} == {"done"}
    counts = Counter(events(folder))
    assert {counts["done", cell.hash] for cell in cells} == {1}
    assert sum(counts["begun", cell.hash] for cell in cells) <= len(cells) + (os.cpu_count() or 1), "those in flight"
