"""The file `details.json` beside a circuit: what was measured for its page, size by size and prompt by prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.attacks.file import circuit_hash
from acdc.attacks.prompt_by_prompt import PromptOutcome, prompt_by_prompt
from acdc.discovery.family import MeasuredCircuit, family
from acdc.explain.example_prompts import ExamplePrompts, example_prompts
from acdc.graphs.circuit import Circuit
from acdc.graphs.files import write_atomically
from acdc.graphs.nodes import Edge
from acdc.judges.distance import Watch
from acdc.judges.single_removals import SingleRemoval, single_removals
from acdc.problem import Problem
from acdc.provenance import Provenance

NAME = "details.json"
SCHEMA = "acdc.details/1"


@dataclass(frozen=True)
class Details:
    """What was measured of a circuit for its page, on its judgement prompts.

    `sizes` are the circuits of all sizes of its search, `prompts` what comes of every prompt, `removals` what is kept
    without each of its edges alone, `examples` what its nodes do on a few prompts.
    """

    circuit: Circuit
    sizes: tuple[MeasuredCircuit, ...]
    prompts: tuple[PromptOutcome, ...]
    removals: tuple[SingleRemoval, ...]
    examples: ExamplePrompts

    @classmethod
    def measure(
        cls,
        problem: Problem,
        circuit: Circuit,
        joining: Mapping[Edge, float | None],
        seed: int = 0,
        watch: Watch | None = None,
    ) -> Details:
        """Measure all of it; `watch` hears of every piece.

        Raises: UnmeasurableBehaviour, DifferentGraphs, NotFinite.
        """
        sizes = family(problem, circuit, joining, seed, watch)
        met = {node for one in sizes for node in one.circuit.nodes()}
        return cls(
            circuit,
            sizes,
            prompt_by_prompt(problem, circuit),
            single_removals(problem, circuit, seed, watch=watch),
            example_prompts(problem, [node for node in problem.graph.senders if node in met]),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; of each size the edges that join the next smaller one, and that leave it."""
        every = list(dict.fromkeys(edge for one in self.sizes for edge in one.circuit.strongest_first()))
        number = {edge: index for index, edge in enumerate(every)}
        scores = {edge: score for one in self.sizes for edge, score in one.circuit.scores.items()}
        before = (frozenset[Edge](), *(one.circuit.edges for one in self.sizes))
        return {
            "schema": SCHEMA,
            "circuit": {"edges": len(self.circuit), "hash": circuit_hash(self.circuit)},
            "measurement": Provenance.of(self.circuit).measurement(),
            "edges": [[edge.name, self.circuit.scores.get(edge, scores.get(edge))] for edge in every],
            "sizes": [
                {
                    "joins": sorted(number[edge] for edge in one.circuit.edges - smaller),
                    "leaves": sorted(number[edge] for edge in smaller - one.circuit.edges),
                    "found": one.circuit.edges == self.circuit.edges,
                    "faithfulness": one.faithfulness.to_json(),
                }
                for smaller, one in zip(before, self.sizes, strict=False)
            ],
            "prompts": [one.to_json() for one in self.prompts],
            "removals": [{"edge": one.edge.name, "without": one.without.to_json()} for one in self.removals],
            "examples": self.examples.to_json(),
        }

    def save(self, directory: Path) -> None:
        """Write it beside its circuit, whole or not at all."""
        write_atomically(directory / NAME, json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False).encode())


def members(details: Mapping[str, Any]) -> Sequence[frozenset[int]]:
    """Which edges, by number, the circuit of each size has, from what `to_json` wrote."""
    found: list[frozenset[int]] = []
    for size in details["sizes"]:
        smaller = found[-1] if found else frozenset[int]()
        found.append((smaller - frozenset(size["leaves"])) | frozenset(size["joins"]))
    return found
