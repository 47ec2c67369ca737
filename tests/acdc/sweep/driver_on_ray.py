"""A driver of its own, to be killed: it makes the cells of a grid on the cluster of that address, slowly.

Run as `python -m tests.acdc.sweep.driver_on_ray ADDRESS GRID FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray

from acdc.sweep.demand import demands
from acdc.sweep.folder import SweepFolder
from acdc.sweep.on_ray import run_on_ray
from acdc.sweep.reading import load_grid
from tests.acdc.sweep.in_workers import makes_nothing_slowly

if __name__ == "__main__":
    address, grid, folder = sys.argv[1:]
    ray.init(address=address, log_to_driver=False, logging_level="error")
    list(run_on_ray(list(demands(load_grid(Path(grid)).cells())), SweepFolder(Path(folder)), ray, makes_nothing_slowly))
