"""The cells of a grid as tasks of a Ray cluster, each with the CPUs, GPUs and memory that its forecast says.

Ray schedules them; what is decided here is only what becomes of a cell whose worker dies.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from acdc.errors import NoCluster
from acdc.pieces.cluster import RETRIES, WAIT, how_it_died, is_full
from acdc.provenance import different_versions, installed
from acdc.sweep.cell import SweepCell
from acdc.sweep.cell_run import run_cell
from acdc.sweep.demand import CellDemand
from acdc.sweep.folder import SweepFolder, whereabouts
from acdc.sweep.loaded_model import LoadedModel
from acdc.sweep.run import CellEnded

_FLYING = 1_000
"""Tasks that Ray is given at once."""
WorkerTask = Callable[[str, SweepCell, Mapping[str, "str | None"]], "dict[str, Any] | None"]
"""What runs in a worker: given the results' folder, a cell and the driver's versions, the cell's record."""


def run_on_ray(
    wanted: Sequence[CellDemand], folder: SweepFolder, ray: Any, work: WorkerTask | None = None
) -> Iterator[CellEnded]:
    """Make every cell on the cluster that Ray is connected to, in any order; each is told when it has ended.

    One whose worker dies is begun again, `RETRIES` times at most, and has then failed; so has one that is larger than
    every machine of the cluster, which would wait for ever.

    Raises: NoCluster.
    """
    nodes = ray.nodes()
    queue = _Queue(ray, folder, work or made_in_worker)
    for each in wanted:
        if why := _too_large(each, nodes):
            yield CellEnded(each.cell, folder.failed(each.cell, why))
        else:
            queue.add(each)
    try:
        yield from queue.run()
    except ConnectionError as error:  # the cluster is gone, and with it all that was being made
        raise NoCluster(f"the Ray cluster is gone: {error}; run the same again to go on") from error


class _Queue:
    """The cells that wait, and those that Ray has been given."""

    def __init__(self, ray: Any, folder: SweepFolder, work: WorkerTask) -> None:
        self._ray, self._folder = ray, folder
        self._waiting: deque[CellDemand] = deque()
        self._task = ray.remote(max_retries=0)(work)
        self._flying: dict[Any, CellDemand] = {}
        self._of_others: deque[tuple[float, CellDemand]] = deque()
        self._died: Counter[str] = Counter()

    def add(self, each: CellDemand) -> None:
        """Have one more cell wait."""
        self._waiting.append(each)

    def run(self) -> Iterator[CellEnded]:
        """Every cell as it ends."""
        while self._waiting or self._flying or self._of_others:
            while self._of_others and self._of_others[0][0] <= time.monotonic():
                self._waiting.append(self._of_others.popleft()[1])
            while self._waiting and len(self._flying) < _FLYING:
                self._give(self._waiting.popleft())
            if not self._flying:
                time.sleep(WAIT / 10)
                continue
            ended, _ = self._ray.wait(list(self._flying), timeout=WAIT)
            for reference in ended:
                each = self._flying.pop(reference)
                record = self._record(reference, each)
                if record is not None:
                    yield CellEnded(each.cell, record)

    def _give(self, each: CellDemand) -> None:
        needs = {"num_cpus": each.cell.search.threads, "num_gpus": each.gpus, "memory": each.bytes or None}
        reference = self._task.options(name=each.cell.words, **needs).remote(
            str(self._folder.directory), each.cell, installed()
        )
        self._flying[reference] = each

    def _record(self, reference: Any, each: CellDemand) -> dict[str, Any] | None:
        """What a task came to; None where the cell has to be given again, at once or when others have had time."""
        errors = self._ray.exceptions
        try:
            record: dict[str, Any] | None = self._ray.get(reference)
        except errors.RayTaskError as error:
            if not is_full(error.cause, self._ray):
                return self._folder.failed(
                    each.cell, f"a fault in acdc: {type(error.cause).__name__}: {error.cause}", str(error)
                )
            return self._again(each, error.cause)
        except errors.RayError as error:  # the worker died, or its machine did, or Ray ended it as memory ran out
            return self._again(each, error)
        if record is None:
            self._of_others.append((time.monotonic() + WAIT, each))
        return record

    def _again(self, each: CellDemand, error: Exception) -> dict[str, Any] | None:
        """None where a cell is begun again, and else what is said of it."""
        self._died[each.cell.hash] += 1
        if self._died[each.cell.hash] <= RETRIES:
            self._waiting.appendleft(each)
            return None
        return self._folder.failed(each.cell, how_it_died(error, self._ray, RETRIES + 1))


def made_in_worker(directory: str, cell: SweepCell, versions: Mapping[str, str | None]) -> dict[str, Any] | None:
    """The record of a cell, made in a worker of the cluster; None where another process is making it."""
    folder = SweepFolder(Path(directory))
    here = whereabouts()["host"]
    if not folder.directory.is_dir():
        return folder.failed(
            cell, f"{directory} is not there on {here}; give a folder that all machines share, with --out"
        )
    if different := different_versions(versions):
        return folder.failed(cell, f"{here} has {different}: it would find other numbers; install the same")
    return folder.attempt(cell, partial(_work, _model_of_this_process()))


def _work(loaded: LoadedModel, cell: SweepCell, room: Path) -> dict[str, Any]:
    return run_cell(cell, loaded, room)


@lru_cache(maxsize=1)
def _model_of_this_process() -> LoadedModel:
    """Ray gives one worker process many tasks, and the model stays for the next."""
    return LoadedModel()


def _too_large(each: CellDemand, nodes: Sequence[Mapping[str, Any]]) -> str:
    """Why no machine of the cluster can ever run a cell; "" where one can."""
    needs = {"CPU": each.cell.search.threads, "GPU": each.gpus, "memory": each.bytes}
    has = [node["Resources"] for node in nodes if node["Alive"]]
    if any(all(machine.get(name, 0) >= need for name, need in needs.items()) for machine in has):
        return ""
    most = {name: max((machine.get(name, 0) for machine in has), default=0) for name in needs}
    return f"no machine of the cluster has room for it: it takes {_told(needs)}, and they have at most {_told(most)}"


def _told(resources: Mapping[str, float]) -> str:
    return f"{resources['CPU']:g} CPUs, {resources['GPU']:g} GPUs and {resources['memory'] / 1e9:.1f} GB"
