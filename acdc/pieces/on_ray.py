"""Pieces of work as tasks of a Ray cluster: each on as many CPUs as this process uses, which decides the last digits.

Ray schedules them; what is decided here is the order in which results are handed on, and what becomes of a piece whose
worker dies.
"""

from __future__ import annotations

import hashlib
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, final

from acdc.errors import NoCluster
from acdc.pieces.cluster import RETRIES, THIS_PROCESS, WAIT, check_place, cluster, how_it_died, is_full, no_room
from acdc.pieces.place import HERE, AbstractPlace
from acdc.pieces.work import AbstractWork, Made, Piece
from acdc.provenance import different_versions, installed
from acdc.settings import Compute


@contextmanager
def place(on: str) -> Iterator[AbstractPlace]:
    """Where pieces are made, as `--on` says: in this process, or on a Ray cluster.

    Raises: BadSetting; NoCluster.
    """
    check_place(on)
    if on == THIS_PROCESS:
        yield HERE
        return
    with cluster(on) as ray:
        yield OnRay(ray)


@final
class OnRay(AbstractPlace):
    """The cluster that Ray is connected to."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def each(self, work: AbstractWork[Piece, Made], pieces: Iterable[Piece]) -> Iterator[Made]:
        """What is made of each piece; a few more than are made at once are given to Ray ahead.

        A piece whose worker dies is begun again, `RETRIES` times at most.

        Raises: NoCluster when it dies again, when the cluster is gone or full or has no room for a piece, and when its
        workers would find other numbers; what the work raises.
        """
        try:
            flying = _Flying(self._ray, work)
        except self._ray.exceptions.RayError as error:
            if is_full(error, self._ray):
                raise no_room(error, self._ray) from error
            raise
        try:
            yield from flying.in_order(iter(pieces), 2 * self.at_once(work))
        except ConnectionError as error:
            raise NoCluster(f"the Ray cluster is gone: {error}; run the same again") from error
        finally:
            flying.give_up()

    def at_once(self, work: AbstractWork[Piece, Made]) -> int:
        """As many pieces as its machines have CPUs and GPUs for.

        Raises: NoCluster where none of them has enough for one.
        """
        needs = {name: count for name, count in needed(work).items() if count}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        room = sum(min(int(has.get(name, 0) // count) for name, count in needs.items()) for has in machines)
        if not room:
            wanted = " and ".join(f"{count} {name}s" for name, count in needs.items())
            raise NoCluster(
                f"no machine of the Ray cluster has room for a piece of this work, which takes {wanted}, as here; "
                "use fewer threads (acdc --threads N), or another cluster"
            )
        return room


def needed(work: AbstractWork[Any, Any]) -> dict[str, int]:
    """The CPUs and GPUs that a piece takes: the threads that this process uses, and a GPU if it runs on one."""
    import torch

    return {"CPU": torch.get_num_threads(), "GPU": Compute(work.device).gpus}


@dataclass
class _Piece:
    """A piece that Ray has been given, by the reference to its result, and how many workers have died of it."""

    piece: Any
    reference: Any
    died: int = 0


class _Flying:
    """The pieces that Ray has been given, in their order."""

    def __init__(self, ray: Any, work: AbstractWork[Any, Any]) -> None:
        needs = needed(work)
        self._ray, self._threads = ray, needs["CPU"]
        self._key = hashlib.sha256(ray.cloudpickle.dumps(work)).hexdigest()
        self._work = ray.put(work)
        options = {"num_cpus": needs["CPU"], "num_gpus": needs["GPU"]}
        self._task = ray.remote(max_retries=0)(made_in_worker).options(name=type(work).__name__, **options)
        self._flying: deque[_Piece] = deque()

    def in_order(self, pieces: Iterator[Any], most: int) -> Iterator[Any]:
        """What comes of each, `most` of them given at the same time."""
        self._flying += [_Piece(piece, self._give(piece)) for piece in islice(pieces, most)]
        while self._flying:
            made = self._made(self._flying[0])
            self._flying.popleft()
            self._flying += [_Piece(piece, self._give(piece)) for piece in islice(pieces, 1)]
            yield made

    def give_up(self) -> None:
        """Have nothing more made."""
        for one in self._flying:
            with suppress(Exception):  # it has ended, or the cluster has
                self._ray.cancel(one.reference, force=True)  # else a search would end with the best so far

    def _give(self, piece: Any) -> Any:
        return self._task.remote(self._key, self._work, piece, self._threads, installed())

    def _made(self, one: _Piece) -> Any:
        errors = self._ray.exceptions
        while True:
            while not self._ray.wait([one.reference], timeout=WAIT)[0]:
                pass
            try:
                return self._ray.get(one.reference)
            except errors.RayTaskError as error:
                cause = error.cause if isinstance(error.cause, Exception) else error
                if not is_full(cause, self._ray):
                    raise cause from error
                why: Exception = cause
            except errors.RayError as error:
                why = error
            one.died += 1
            if one.died > RETRIES:
                raise NoCluster(f"a piece of the work cannot be made: {how_it_died(why, self._ray, one.died)}") from why
            one.reference = self._give(one.piece)


def made_in_worker(
    key: str, work: AbstractWork[Piece, Made], piece: Piece, threads: int, wanted: Mapping[str, Any]
) -> Made:
    """What is made of a piece in a worker of the cluster, which stays open for the next piece of the same work.

    Raises: NoCluster where this worker would find other numbers; what the work raises.
    """
    import torch

    if different := different_versions(wanted):
        raise NoCluster(
            f"{socket.gethostname()} has {different}: it would find other numbers; install the same on all machines"
        )
    torch.set_num_threads(threads)
    made: Made = _open_in_this_process().of(key, work)(piece)
    return made


@final
class _Open:
    """The work of the moment: one worker process makes many pieces of it."""

    def __init__(self) -> None:
        self._held: tuple[str, Callable[[Any], Any]] | None = None

    def of(self, key: str, work: AbstractWork[Any, Any]) -> Callable[[Any], Any]:
        """What makes a piece of the work that is known by this key; what was open before is let go first."""
        if self._held is None or key != self._held[0]:
            self._held = None
            self._held = key, work.opened()
        return self._held[1]


@lru_cache(maxsize=1)
def _open_in_this_process() -> _Open:
    return _Open()
