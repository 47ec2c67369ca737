"""An attack's file read back: what is needed to measure its worst cases again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from acdc.attacks.case import Case
from acdc.errors import BadAttackFile
from acdc.settings import Setup
from graphs import strict_json
from graphs.circuit import Circuit

SCHEMA = "acdc.attack/1"


def circuit_hash(circuit: Circuit) -> str:
    """The hash of which edges a circuit has."""
    names = "\n".join(edge.name for edge in circuit.ordered())
    return f"sha256:{hashlib.sha256(names.encode()).hexdigest()}"


@dataclass(frozen=True)
class AttackedCircuit:
    """Which circuit was attacked: its file, and the hash of its edges ("" where an attack's file does not say)."""

    file: Path
    hash: str


@dataclass(frozen=True)
class RecordedAttack:
    """The worst cases of an attack, and what they were measured with.

    `task` is the task's name and `task_file` its behaviour file, if it has one.
    """

    circuit: AttackedCircuit
    task: str
    task_file: str | None
    model: str
    setup: Setup
    worst: tuple[Case, ...]

    @classmethod
    def load(cls, path: Path) -> RecordedAttack:
        """Read what `acdc attack` wrote.

        Raises: BadAttackFile.
        """
        try:
            data = strict_json.loads(path.read_text("utf-8"))
            if data["schema"] != SCHEMA:
                raise ValueError(f"its schema is {data['schema']!r}, wanted {SCHEMA!r}")
            named, drawn = data["model"], data["prompts"]
            if odd := [case["kl"] for case in data["worst"] if type(case["kl"]) not in (int, float)]:
                raise ValueError(f"a KL divergence of {odd[0]!r}")
            setup = Setup(
                data["metric"]["name"],
                data["ablation"],
                drawn["count"],
                drawn["seed"],
                dtype=named["dtype"],
                only_correct=drawn.get("only_correct", False),
            )
            return cls(
                AttackedCircuit(path.parent / data["circuit"]["file"], str(data["circuit"].get("hash", ""))),
                data["task"]["name"],
                data["task"]["file"],
                named["name"],
                setup,
                tuple(Case.from_json(case) for case in data["worst"]),
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            got = error.strerror if isinstance(error, OSError) else f"{type(error).__name__} {str(error)!r}"
            raise BadAttackFile(
                f"no attack can be read from {path}: got {got}, wanted what "
                "`acdc attack` writes; name another file or attack the circuit again"
            ) from error
