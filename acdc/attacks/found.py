"""What an attack found, part by part, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from acdc.attacks.case import Case
from acdc.attacks.crossing import Crossing
from acdc.attacks.diagnosis import Diagnosis
from acdc.attacks.file import SCHEMA, circuit_hash
from acdc.attacks.plan import PARTS, AttackPlan, Part
from acdc.attacks.search import Search
from acdc.attacks.specificity import OtherTask
from acdc.attacks.variations import Varied
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import without_content
from acdc.judges.necessity import Necessity
from acdc.provenance import Provenance


@dataclass(frozen=True)
class AttackFindings:
    """What each part of an attack found; None where it was not tried."""

    variations: tuple[Varied, ...] | None = None
    crossing: Crossing | None = None
    search: Search | None = None
    diagnosis: tuple[Diagnosis, ...] | None = None
    necessity: Necessity | None = None
    specificity: tuple[OtherTask, ...] | None = None

    @property
    def worst(self) -> tuple[Case, ...]:
        """The worst prompts of all parts that the model is right on, worst first, each once.

        Variations that the model does not do, or its tokenizer cannot express, do not count.
        """
        cases = [*(self.crossing.worst if self.crossing else ()), *(self.search.cases if self.search else ())]
        for varied in self.variations or ():
            cases += varied.measured.worst if varied.measured and varied.verdict in ("holds", "breaks") else ()
        ordered = sorted((case for case in cases if case.model.right), key=lambda case: (-case.kl, case.pair.clean))
        once: dict[tuple[str, str, int], Case] = {}
        for case in ordered:
            once.setdefault((case.pair.clean, case.pair.corrupt, case.pair.scoring.position), case)
        return tuple(once.values())

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that were tried and gave something."""
        return tuple(part for part in PARTS if getattr(self, part) is not None)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: _json(part) for name, part in found.items() if part is not None}

    def state(self) -> dict[str, Any]:
        """All of it as plain JSON data that it can be made from again, the time that the search took included."""
        state: dict[str, Any] = _form().dump_python(self, mode="json")
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> AttackFindings:
        """What `state` wrote.

        Raises: ValueError when the state is none.
        """
        found: AttackFindings = _form().validate_python(dict(state))
        return found


@dataclass(frozen=True)
class LeftOut:
    """Why parts that were asked for are not there.

    `skipped` says why a part does not apply; `failed` holds the error, a caller's to mend, in which a part ended.
    """

    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Exception] = field(default_factory=dict)

    def to_json(self) -> dict[str, dict[str, str]]:
        """All of it as plain JSON data."""
        return {"skipped": dict(self.skipped), "failed": {part: str(error) for part, error in self.failed.items()}}


@dataclass(frozen=True)
class Attack:
    """An attack on a circuit: what it was run with (`origin`), what was found, and why the rest is left out.

    `seconds` is what each part took: the only figures that another run does not give again.
    """

    circuit: Circuit
    origin: Provenance
    plan: AttackPlan
    found: AttackFindings
    left_out: LeftOut = LeftOut()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def repaired(self) -> Circuit:
        """The circuit with all edges that repair a diagnosed case."""
        edges = {one.edge for case in self.found.diagnosis or () if case.repaired for one in case.together}
        return replace(self.circuit, edges=self.circuit.edges | edges)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        of = {"edges": len(self.circuit), "hash": circuit_hash(self.circuit)}
        without_time = {part: said for part, said in self.origin.to_json().items() if part != "created"}
        timings: dict[str, Any] = {"seconds": dict(self.seconds)}
        if self.found.search:
            timings["prompts_per_second"] = self.found.search.per_second
        return {
            "schema": SCHEMA,
            "circuit": of,
            **without_content(without_time),
            "plan": self.plan.to_json(),
            "worst": [case.to_json() for case in self.found.worst],
            **self.found.to_json(),
            **self.left_out.to_json(),
            "timings": timings,
        }


def _json(part: Any) -> Any:
    return [one.to_json() for one in part] if isinstance(part, tuple) else part.to_json()


def _form() -> TypeAdapter[AttackFindings]:
    """How what was found is written and read back."""
    return TypeAdapter(AttackFindings)
