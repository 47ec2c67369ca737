"""The Ray cluster that a command uses: one of this machine for the time of the command, or one that is there."""

from __future__ import annotations

import os
import site
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acdc.errors import BadSetting, NoCluster

THIS_PROCESS = "local"
"""What `--on` calls this process."""
THIS_MACHINE = "ray"
"""What it calls a cluster of this machine, started and ended with the command."""
_ADDRESS = "ray://"
_ANSWER = 10.0
"""Seconds within which a cluster must answer."""
RETRIES = 2
"""How many times what a worker was making is begun again when the worker dies."""
WAIT = 1.0
"""Seconds after which something else than the cluster may be heard, such as Ctrl-C."""


@contextmanager
def cluster(on: str) -> Iterator[Any]:
    """Ray, connected to the cluster of that address, or to one of this machine that ends with the connection.

    Raises: NoCluster.
    """
    try:
        import ray
    except ImportError as error:
        raise NoCluster(
            f"--on {on} needs Ray, which is not installed: pip install 'acdc-circuits[ray]', or give --on local"
        ) from error
    with _told_to_nobody():
        try:
            _connect(ray, on)
        except (RuntimeError, OSError, ValueError, ImportError, ray.exceptions.RayError) as error:
            why = str(error).strip().splitlines() or [type(error).__name__]
            remedy = "correct --on, start one there, or give the token it asks for (RAY_AUTH_MODE=token)"
            raise NoCluster(f"no Ray cluster can be used at {on}: {why[0]}; {remedy}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


def check_place(on: str) -> None:
    """Refuse what is no place to run anything.

    Raises: BadSetting.
    """
    host, _, port = on.removeprefix(_ADDRESS).rpartition(":")
    if on in (THIS_PROCESS, THIS_MACHINE) or (
        on.startswith(_ADDRESS) and host and port.isdecimal() and int(port) < 1 << 16
    ):
        return
    raise BadSetting(f"--on is {on!r}; wanted local, ray (a cluster of this machine) or ray://HOST:PORT")


def how_it_died(error: Exception, ray: Any, times: int) -> str:
    """Why what a worker was making cannot be had, after so many workers died of it."""
    if is_full(error, ray):
        return f"{_full(error, ray)}, {times} times; make room on its machines, or give Ray more (object_store_memory)"
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return f"memory ran out on the worker, {times} times; ask for fewer prompts, or give the cluster more memory"
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"the worker that made it died {times} times ({first}); memory may have run out: look at Ray's own logs"


def is_full(error: BaseException | None, ray: Any) -> bool:
    """Whether it is the store of the cluster, or a disk of it, that had no room."""
    return isinstance(error, (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError))


def no_room(error: Exception, ray: Any) -> NoCluster:
    """What is said when not even the work itself can be given to the cluster."""
    return NoCluster(
        f"{_full(error, ray)}, so that it cannot be given the work; make room on its machines, or give Ray more "
        "(object_store_memory)"
    )


def _full(error: BaseException, ray: Any) -> str:
    what = "a disk" if isinstance(error, ray.exceptions.OutOfDiskError) else "the object store"
    return f"{what} of the Ray cluster is full"


def _connect(ray: Any, on: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if on == THIS_MACHINE:
        root = str(Path(__file__).parents[2])
        if root not in site.getsitepackages():  # for the workers, this package is where it is for this process
            paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
            quiet["runtime_env"] = {"env_vars": {"PYTHONPATH": paths}}
        ray.init(address="local", include_dashboard=False, **quiet)
        return
    _check_answers(on)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not answer is told once
        ray.init(address=on, **quiet)


@contextmanager
def _told_to_nobody() -> Iterator[None]:
    """Inside, a cluster that is started sends no statistics of its use to Ray's makers."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def _check_answers(on: str) -> None:
    """Ray itself waits minutes for an address that does not answer."""
    host, _, port = on.removeprefix(_ADDRESS).rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER):
        pass
