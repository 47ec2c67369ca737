"""Every judgement prompt by itself: what model and circuit say, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from acdc.attacks.case import Case
from acdc.attacks.measuring import cases
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem


@dataclass(frozen=True)
class PromptOutcome:
    """A prompt pair with what is said on it, and the problem's metric of the model, the circuit and no edge at all."""

    case: Case
    full: float
    circuit: float
    none: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        pair, case = self.case.pair, self.case
        return {
            **{name: getattr(pair, name) for name in ("clean", "corrupt")},
            "answers": list(pair.answers),
            "model": case.model.text,
            "circuit": case.circuit.text,
            "model_right": case.model.right,
            "circuit_right": case.circuit.right,
            "kl": case.kl,
            "metric": {"full": self.full, "circuit": self.circuit, "none": self.none},
        }


def prompt_by_prompt(problem: Problem, circuit: Circuit) -> tuple[PromptOutcome, ...]:
    """What comes of every prompt of the problem, in their order.

    Raises: DifferentGraphs; NotFinite.
    """
    every = [Circuit.full(problem.graph), circuit, Circuit.empty(problem.graph)]
    values = problem.measure(every)[0].T.tolist()
    met = cases(problem, circuit, "judgement")
    return tuple(PromptOutcome(case, *metric) for case, metric in zip(met, values, strict=True))
