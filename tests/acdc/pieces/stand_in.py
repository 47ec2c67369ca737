"""As much of Ray as it takes to see what becomes of work that no worker can make."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any, final


class LostError(Exception):
    """What Ray says when a worker is gone."""


class FullMemoryError(LostError):
    """What Ray says when it ended a worker as memory ran out."""


class FullStoreError(LostError):
    """What Ray says when its store has no room."""


class FullDiskError(LostError):
    """What Ray says when a disk has no room for what its store lets go."""


class TaskError(Exception):
    """What Ray says when a task raised something."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@final
class StandIn:
    """As much of Ray as gives tasks, and raises an error whenever it is asked for what came of one."""

    def __init__(self, error: Exception, full: bool = False) -> None:
        self.error, self.given, self.full = error, 0, full
        self.cloudpickle = pickle
        self.exceptions = SimpleNamespace(
            RayTaskError=TaskError,
            RayError=LostError,
            OutOfMemoryError=FullMemoryError,
            ObjectStoreFullError=FullStoreError,
            OutOfDiskError=FullDiskError,
        )

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 1e12}}]

    def remote(self, **given: int) -> Any:
        return lambda work: self

    def options(self, **needs: Any) -> Any:
        self.needs = needs

        def give(*arguments: object) -> int:
            self.given += 1
            return self.given

        return SimpleNamespace(remote=give)

    def wait(self, references: list[int], timeout: float) -> tuple[list[int], list[int]]:
        return references[:1], references[1:]

    def put(self, value: object) -> object:
        if self.full:
            raise FullStoreError
        return value

    def cancel(self, reference: int, force: bool) -> None:
        pass

    def get(self, reference: int) -> Any:
        raise self.error
