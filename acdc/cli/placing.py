"""Where a command's independent pieces are made, as `--on` says; to start a cluster takes a while, which is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from acdc.pieces.cluster import THIS_PROCESS
from acdc.pieces.on_ray import place

if TYPE_CHECKING:
    from acdc.cli.progress import ProgressDisplay
    from acdc.pieces.place import AbstractPlace


@contextmanager
def placed(on: str, watch: ProgressDisplay) -> Iterator[AbstractPlace]:
    """The place of that name.

    Raises: BadSetting; NoCluster.
    """
    if on != THIS_PROCESS:
        watch.stage(f"starting on {on}")
    with place(on) as where:
        yield where
