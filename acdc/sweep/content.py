"""What tasks, models and hypothesis files of a grid are made of, as hashes: where one changes, its cells run again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path

from acdc import tasks
from acdc.attacks.file import circuit_hash
from acdc.graphs.circuit import Circuit
from acdc.hypotheses import baselines
from acdc.hypotheses.hypothesis import Hypothesis
from acdc.models import expanded, is_compiled, is_gguf, resolve
from acdc.pretrained import registry
from acdc.tasks.files.records import Record, read_yaml
from acdc.tasks.registry import BUILTIN, GROUP

HASHED = 1_000_000_000
"""Bytes of a model up to which its content is hashed; sizes and times of its files stand for a larger one."""
_CHUNK = 1 << 20
_OF_A_MODEL = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt", "*.jinja")


def of_task(name: str, file: Path | None) -> str:
    """What decides a task: its behaviour file and the tables that this names, or the package that it comes with.

    Raises: OSError.
    """
    if file is not None:
        return _hash(file, *_tables(file))
    if name in BUILTIN:
        return "built in"  # the version of acdc, which every cell has, says the rest
    versions = [
        f"{offer.dist.name} {offer.dist.version}" for offer in entry_points(group=GROUP, name=name) if offer.dist
    ]
    return f"the package {' and '.join(versions)}"


def of_model(found_by: str) -> str:
    """What decides a model: the hash of its files, their sizes and times where they are large, or its name alone.

    Raises: UnknownModel; OSError.
    """
    if found_by in registry.KNOWN:
        return f"sha256:{registry.KNOWN[found_by].sha256}"
    if is_compiled(found_by):
        return "made by its name"
    where = Path(resolve(found_by))
    if where.is_dir():
        files = sorted({*chain.from_iterable(where.glob(pattern) for pattern in _OF_A_MODEL)})
    elif is_gguf(found_by):
        files = [Path(expanded(found_by))]
    else:
        return "its name on the hub" if "@" in found_by else "its name on the hub, without a revision"
    states = [file.stat() for file in files]
    if sum(state.st_size for state in states) <= HASHED:
        return _hash(*files)
    told = [f"{file.name} {state.st_size} {state.st_mtime_ns}" for file, state in zip(files, states, strict=True)]
    return f"sizes and times of files:{hashlib.sha256(chr(10).join(told).encode()).hexdigest()}"


def of_hypothesis(hypothesis: Hypothesis) -> str:
    """What decides a hypothesis: its file, its baselines, and the circuits that it names.

    Raises: OSError.
    """
    recorded = baselines.path_of(hypothesis.path)
    named = [hypothesis.circuit, *(claim.against for claim in hypothesis.claims)]
    circuits = [circuit_hash(circuit) for circuit in named if isinstance(circuit, Circuit)]
    own = _hash(hypothesis.path, *([recorded] if recorded.exists() else []))
    return f"sha256:{hashlib.sha256(' '.join([own, *circuits]).encode()).hexdigest()}"


def known_task(name: str) -> bool:
    """Whether a task of that name is built in or a plugin's."""
    return name in tasks.names()


def _tables(file: Path) -> Iterator[Path]:
    """The tables of prompts that a behaviour file names, those that are there."""
    record = read_yaml(file, [])
    if record is None:
        return
    variations = record.fields["variations"].value if "variations" in record.fields else None
    edge_cases = list(variations.fields.values()) if isinstance(variations, Record) else []
    for one in (record, *(each.value for each in edge_cases)):
        named = one.fields["prompts"].value if isinstance(one, Record) and "prompts" in one.fields else None
        if isinstance(named, str) and (table := file.parent / expanded(named)).is_file():
            yield table


def _hash(*paths: Path) -> str:
    """The hash of what files are called and of what they hold, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        inner = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                inner.update(chunk)
        digest.update(f"{path.name} {inner.hexdigest()}\n".encode())
    return f"sha256:{digest.hexdigest()}"
