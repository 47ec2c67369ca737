"""An attack's file read back: what is needed to measure its worst cases again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from acdc.attacks.case import Case
from acdc.errors import BadAttackFile
from acdc.graphs import strict_json
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import KEY as CONSTANTS
from acdc.graphs.constants import Constants
from acdc.provenance import Provenance
from acdc.settings import Setup

SCHEMA = "acdc.attack/1"
_OF_ORIGIN = Provenance.model_fields.keys()


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
    """The worst cases of an attack, what they are of, and the setup they were measured with."""

    circuit: AttackedCircuit
    origin: Provenance
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
            if odd := [case["kl"] for case in data["worst"] if type(case["kl"]) not in (int, float)]:
                raise ValueError(f"a KL divergence of {odd[0]!r}")
            attacked = AttackedCircuit(path.parent / data["circuit"]["file"], str(data["circuit"].get("hash", "")))
            said = {part: what for part, what in data.items() if part in _OF_ORIGIN}
            if CONSTANTS in said:
                said[CONSTANTS] = Constants.load(path, said[CONSTANTS]).to_json()
            origin = Provenance.read(said, "it")
            for name in (origin.task_name, origin.model_name):
                name()  # refuses a file that does not say it
            return cls(attacked, origin, origin.setup(), tuple(Case.from_json(case) for case in data["worst"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            got = error.strerror if isinstance(error, OSError) else f"{type(error).__name__} {str(error)!r}"
            raise BadAttackFile(
                f"no attack can be read from {path}: got {got}, wanted what "
                "`acdc attack` writes; name another file or attack the circuit again"
            ) from error
