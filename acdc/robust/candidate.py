"""A circuit that a robust discovery may end in, and the counterexamples that it is found with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from acdc.attacks.case import Case
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.progress import CurvePoint, SearchSummary
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import TokenPair, tokenise


@dataclass(frozen=True)
class Counterexample:
    """A prompt to learn from, and what found it."""

    pair: TokenPair
    found_by: str


def counterexamples_of(cases: Collection[Case], problem: Problem) -> list[Counterexample]:
    """The prompts of these cases that the model's tokenizer writes."""
    pairs = [(tokenise(case.pair, problem.model.tokenizer)[0], case.found_by) for case in cases]
    return [Counterexample(pair, found_by) for pair, found_by in pairs if pair is not None]


def joint(problem: Problem, counterexamples: Collection[Counterexample]) -> Problem:
    """The problem of its own prompts and of these."""
    return problem.on(PromptPairs((*problem.pairs.pairs, *(one.pair for one in counterexamples))))


@dataclass(frozen=True)
class CandidateCircuit:
    """A circuit, the metric that found it, how many counterexamples it was found with, and the search's summary of it.

    The first circuit has no summary here.
    """

    circuit: Circuit
    metric: str
    counterexamples: int = 0
    summary: SearchSummary | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, where it has a summary."""
        assert self.summary is not None
        edges = {edge.name: self.circuit.scores.get(edge) for edge in self.circuit.ordered()}
        return {
            "edges": edges,
            "metric": self.metric,
            "counterexamples": self.counterexamples,
            "summary": {name: asdict(self.summary)[name] for name in ("chosen", "curve", "figures")},
        }

    @classmethod
    def from_json(cls, circuit: Circuit, data: Mapping[str, Any]) -> CandidateCircuit:
        """What `to_json` wrote, of the graph of this circuit."""
        scores = {Edge.parse(name): score for name, score in data["edges"].items()}
        known = {edge: score for edge, score in scores.items() if score is not None}
        kept = data["summary"]
        curve = tuple(CurvePoint(**point) for point in kept["curve"])
        summary = SearchSummary(CurvePoint(**kept["chosen"]), curve, kept["figures"])
        return cls(Circuit(circuit.graph, frozenset(scores), known), data["metric"], data["counterexamples"], summary)
