"""Which directory a result goes to: none that holds what another run has left, or that one is writing to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from acdc.cli.destination import ATTACK, Destination
from acdc.discovery.checkpoint import ROUNDS
from acdc.errors import UnwritableOutput

LOCK = ".acdc.lock"
EXPLANATION = "explain.json"

Obstacle = Callable[[Path], str]
"""What of another run is in a directory, in words; "" where there is nothing."""


@contextmanager
def free_directory(
    directory: Path, obstacle: Obstacle, *, named: bool, further: Path | None = None
) -> Iterator[Destination]:
    """A directory with nothing of another run in it, held for this run alone until its end.

    It is this one or, unless that was `named` by the user, the first that is free of `<further>-2`, `<further>-3`, ...
    (None: of its own name).

    Raises: UnwritableOutput.
    """
    further = further or directory
    numbered = (further.with_name(f"{further.name}-{number}") for number in count(2))
    for candidate in (directory,) if named else chain((directory,), numbered):
        there = obstacle(candidate)
        if not there:
            with _held(candidate) as held:
                if held:
                    yield Destination(candidate)
                    return
            there = "another run that is still going on"
        if named:
            raise UnwritableOutput(
                f"{candidate} holds {there}; give another directory with --out, or move away what is there"
            )


@contextmanager
def _held(candidate: Path) -> Iterator[bool]:
    """Whether the directory could be locked; what is made for it is gone afterwards unless something was put there."""
    from filelock import FileLock, Timeout

    made = [path for path in (candidate, *candidate.parents) if not path.exists()]
    lock = FileLock(candidate / LOCK, timeout=0)
    try:
        try:
            candidate.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            raise Destination(candidate).unwritable(error) from error
        try:
            yield True
        finally:
            with suppress(OSError):
                (candidate / LOCK).unlink()  # while it is held: whoever waits for it sees that it is gone
            lock.release()
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def of_discovery(request: Mapping[str, Any], plan: Mapping[str, Any] | None, *, resume: bool) -> Obstacle:
    """What keeps a discovery of this request out, a refinement where there is a `plan`; `resume` goes on anywhere."""

    def obstacle(candidate: Path) -> str:
        if (candidate / "circuit.json").exists():
            there = _read(candidate / "circuit.json")
            if plan is not None or not _is_result_of(there, request):
                return "the result of another run (circuit.json)"
        elif (candidate / ATTACK).exists():
            return f"an attack on another circuit ({ATTACK})"
        if resume:
            return ""
        checkpoint, rounds = (_read(candidate / name) for name in ("checkpoint.json", ROUNDS))
        if checkpoint is not None and not _same(checkpoint.get("request"), request):
            return "what an interrupted run of other settings can go on from (checkpoint.json)"
        if rounds is not None and (plan is None or not _same(rounds.get("request", {}).get("plan"), plan)):
            return f"what an interrupted run of other settings can go on from ({ROUNDS})"
        return ""

    return obstacle


def interrupted(
    directory: Path, request: Mapping[str, Any], name: str = "checkpoint.json", *, further: Path | None = None
) -> Path:
    """Where a run of this request was interrupted, as far as that is known; this directory where it was in none.

    It is this one or one of those that `room` makes; `name` is the checkpoint's.
    """
    further = further or directory
    others = (further.with_name(f"{further.name}-{number}") for number in count(2))
    for candidate in chain((directory,), others):
        if not candidate.is_dir():
            break
        checkpoint = _read(candidate / name)
        if checkpoint is not None and _holds(checkpoint.get("request"), _json(request)):
            return candidate
    return directory


def of_stability(circuit: Mapping[str, Any], request: Mapping[str, Any], name: str, *, resume: bool) -> Obstacle:
    """What keeps the stability of a circuit out; `name` is its checkpoint's."""

    def obstacle(candidate: Path) -> str:
        there = _read(candidate / "circuit.json")
        if there is not None:
            before = there.get("stability")
            if _plain(there) != _plain(circuit):
                return "another circuit (circuit.json)"
            if before is not None and _runs(before) != (request["resamples"], request["seeds"]):
                return "the stability of this circuit by another number of discoveries (circuit.json)"
        checkpoint = _read(candidate / name)
        if checkpoint is not None and not resume and not _same(checkpoint.get("request"), request):
            return f"what an interrupted run of other settings can go on from ({name})"
        return ""

    return obstacle


def of_explanation(circuit: Mapping[str, Any], edges: str) -> Obstacle:
    """What keeps the explanation of a circuit out, whose edges have this hash; its own may be replaced."""

    def obstacle(candidate: Path) -> str:
        there, before = _read(candidate / "circuit.json"), _read(candidate / EXPLANATION)
        if there is not None and _plain(there) != _plain(circuit):
            return "another circuit (circuit.json)"
        if before is not None and before.get("circuit") != edges:
            return f"the explanation of another circuit ({EXPLANATION})"
        return ""

    return obstacle


def of_attack(wanted: Mapping[str, Any], request: Mapping[str, Any] | None, name: str) -> Obstacle:
    """What keeps an attack out that is to hold these settings, as far as they are known.

    `name` is its checkpoint's, and `request` what that must say (None: it is gone on from).
    """

    def obstacle(candidate: Path) -> str:
        there, checkpoint = _read(candidate / ATTACK), _read(candidate / name)
        if there is not None and not _holds(there, _json(wanted)):
            return f"another attack ({ATTACK})"
        if request is not None and checkpoint is not None and not _holds(checkpoint.get("request"), _json(request)):
            return f"what an interrupted attack of other settings can go on from ({name})"
        return ""

    return obstacle


def of_bench(settings: list[dict[str, Any]], files: list[str], name: str = "bench.json") -> Obstacle:
    """What keeps a table of these cells out, whose results are in these files; `name` is the table's."""

    def obstacle(candidate: Path) -> str:
        table = _read(candidate / name)
        if table is not None and any(cell.get("settings") not in settings for cell in table.get("cells", ())):
            return f"the table of other cells ({name})"
        for own, file in zip(settings, files, strict=True):
            cell = _read(candidate / "cells" / file)
            if cell and cell.get("settings") != own:  # one that is damaged is nobody's result
                return f"a result of other settings (cells/{file})"
        return ""

    return obstacle


def of_cut(candidate: Path) -> str:
    """What keeps a circuit of another size out: any circuit or attack that is there."""
    return next((f"another result ({name})" for name in ("circuit.json", ATTACK) if (candidate / name).exists()), "")


def _read(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no file, and an empty one where it cannot be read."""
    if not file.exists():
        return None
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_result_of(there: Mapping[str, Any] | None, request: Mapping[str, Any]) -> bool:
    """Whether a circuit file is what a discovery of this request writes: nothing has been added to it since."""
    added = there is not None and (
        {"stability", "robust", "roles"} & there.keys() or "cut_from" in there.get("algorithm", {})
    )
    return there is not None and not added and _holds(there, _json(request))


def _holds(there: Any, wanted: Any) -> bool:
    """Whether data says all that is wanted, whatever else it says."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_holds(there.get(key), value) for key, value in wanted.items())
    return bool(there == wanted)


def _same(there: Any, wanted: Any) -> bool:
    return bool(there == _json(wanted))


def _json(data: Any) -> Any:
    """The data as it comes back from a file."""
    return json.loads(json.dumps(data))


def _plain(circuit: Mapping[str, Any]) -> dict[str, Any]:
    """A circuit's file without what a stability or an explanation adds."""
    edges = [{"edge": row.get("edge"), "score": row.get("score")} for row in circuit.get("edges", ())]
    return {
        **{key: value for key, value in _json(circuit).items() if key not in ("stability", "roles")},
        "edges": edges,
    }


def _runs(stability: Any) -> tuple[int, int]:
    found = [stability.get(kind) if isinstance(stability, dict) else None for kind in ("resamples", "seeds")]
    resamples, seeds = (one.get("runs", 0) if isinstance(one, dict) else 0 for one in found)
    return resamples, seeds
