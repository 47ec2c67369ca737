"""What a run's folder holds for its page, read and checked, and what it lacks, with the command that makes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from acdc.attacks.file import SCHEMA as ATTACK_SCHEMA
from acdc.attacks.file import circuit_hash
from acdc.errors import BadRunFile
from acdc.graphs import strict_json
from acdc.graphs.circuit import Circuit
from acdc.hashes import edges_hash
from acdc.judges.findings import Findings
from acdc.report.page import details

ATTACK, EVALUATION, CLAIMS, VIEW = "attack.json", "evaluation.json", "claims.json", "view.json"
EXPLANATION = "explain.json"


class _Form(BaseModel):
    """What a file must say at least; what it says besides is kept."""

    model_config = ConfigDict(extra="allow")


class _Sized(_Form):
    joins: list[int]
    leaves: list[int]
    found: bool
    faithfulness: dict[str, Any]


class _DetailsForm(_Form):
    circuit: dict[str, Any]
    edges: list[tuple[str, float | None]]
    sizes: list[_Sized]
    prompts: list[dict[str, Any]]
    removals: list[dict[str, Any]]
    examples: dict[str, Any]


class _AttackForm(_Form):
    circuit: dict[str, Any]
    worst: list[dict[str, Any]]


class _EvaluationForm(_Form):
    faithfulness: dict[str, Any]
    sections: list[dict[str, Any]] = []


class _TestedForm(_Form):
    claims: list[dict[str, Any]]


class _RoleForm(_Form):
    role: str
    evidence: dict[str, float] = {}
    percentile: float | None = None


class _ExplanationForm(_Form):
    circuit: str
    roles: dict[str, _RoleForm]
    costs: dict[str, float] = {}
    checks: list[dict[str, Any]] = []
    interactions: list[dict[str, Any]] = []


class _ViewForm(_Form):
    fragment: str


_FORMS: dict[str, tuple[type[_Form], str | None, str]] = {
    details.NAME: (_DetailsForm, details.SCHEMA, "acdc report DIR"),
    ATTACK: (_AttackForm, ATTACK_SCHEMA, "acdc attack DIR"),
    EVALUATION: (_EvaluationForm, None, "acdc evaluate DIR --full"),
    CLAIMS: (_TestedForm, None, "acdc test DIR"),
    EXPLANATION: (_ExplanationForm, "acdc.explanation/1", "acdc explain DIR"),
    VIEW: (_ViewForm, "acdc.view/1", "`Save the view` in the page"),
}
"""What each file beside a circuit must look like, the schema that it names, and what makes it."""
_SAYS = {
    details.NAME: "circuits of other sizes, prompt by prompt, and single removals",
    ATTACK: "prompts on which the circuit fails, and what repairs it",
    EVALUATION: "completeness, statistical tests, ablations by metrics",
    CLAIMS: "claims of hypothesis files (test_*.acdc.yaml in the folder), passed and failed",
    EXPLANATION: "what each head does: its role, with the evidence",
}


@dataclass(frozen=True)
class Lacking:
    """Something that a page could show but its run's folder does not hold; `why` it is not used where it is there."""

    what: str
    command: str
    why: str = ""


@dataclass(frozen=True)
class RunFolder:
    """A circuit with the files beside it, by name, those that are there and are of this circuit."""

    directory: Path
    findings: Findings
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lacking: tuple[Lacking, ...] = ()

    @classmethod
    def read(cls, file: Path) -> RunFolder:
        """Read the folder that this circuit.json is in.

        Raises: BadCircuitFile; BadRunFile when a file beside the circuit is damaged.
        """
        findings = Findings.of(Circuit.load(file), str(file))
        return cls._of(findings, file.parent, {name: _read(file.parent / name) for name in _FORMS})

    @classmethod
    def in_memory(cls, circuit: Circuit) -> RunFolder:
        """The folder, called RUN, that this circuit would be alone in."""
        return cls._of(Findings.of(circuit), Path("RUN"), dict.fromkeys(_FORMS))

    @classmethod
    def _of(cls, findings: Findings, directory: Path, there: Mapping[str, dict[str, Any] | None]) -> RunFolder:
        """Those of the files that are of this circuit, and what is lacking."""
        hashed = circuit_hash(findings.circuit)
        files: dict[str, Mapping[str, Any]] = {}
        lacking: list[Lacking] = []
        for name, data in there.items():
            why = "" if data is None else _of_another(name, data, findings, hashed)
            if data is not None and not why:
                files[name] = data
            elif name in _SAYS:
                lacking.append(Lacking(_SAYS[name], _command(name, directory), why))
        if findings.outcome.stability is None:
            lacking.append(Lacking("how often each edge is found again", f"acdc stability {_quoted(directory)}"))
        return cls(directory, findings, files, tuple(lacking))


def _command(name: str, directory: Path) -> str:
    return _FORMS[name][2].replace("DIR", _quoted(directory))


def _quoted(directory: Path) -> str:
    return shlex.quote(str(directory))


def _read(file: Path) -> dict[str, Any] | None:
    """What a file says; None where there is none.

    Raises: BadRunFile.
    """
    form, schema, _ = _FORMS[file.name]
    try:
        data = strict_json.loads(file.read_text("utf-8"))
        if schema and (not isinstance(data, dict) or data.get("schema") != schema):
            raise ValueError(f"it does not name the schema {schema!r}")
        form.model_validate(data)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(file, f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg'].lower()}") from error
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    read: dict[str, Any] = data
    return read


def _damaged(file: Path, how: str) -> BadRunFile:
    return BadRunFile(
        f"{file} is damaged, so that no page can be made: {how}; move it away and make it again: "
        f"{_command(file.name, file.parent)}"
    )


def _of_another(name: str, data: Mapping[str, Any], findings: Findings, hashed: str) -> str:
    """Why a file is not of this circuit and its measurement, as far as it can be told; "" where it is."""
    of, measurement = data.get("circuit"), findings.origin.measurement()
    if name == EXPLANATION and of != edges_hash(findings.circuit):
        return f"{name} is of another circuit"
    if isinstance(of, Mapping) and of.get("hash", hashed) != hashed:
        return f"{name} is of another circuit"
    if name == details.NAME and data.get("measurement", measurement) != measurement:
        return f"{name} was measured with another model, metric or ablation, or on other prompts"
    edges = data.get("faithfulness", {}).get("size", {}).get("edges") if name == EVALUATION else None
    if edges is not None and edges != len(findings.circuit):
        return f"{name} is of a circuit of {edges:,} edges"
    return ""
