"""A hypothesis: a circuit, what it is a circuit of, and what is claimed of it; as a file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from acdc.errors import BadHypothesisFile
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import GraphsError
from acdc.graphs.nodes import Node
from acdc.graphs.patterns import check_form, expand
from acdc.judges.same_subject import Given

if TYPE_CHECKING:
    from acdc.graphs.computation import ComputationalGraph
    from acdc.hypotheses.baselines import Baseline
    from acdc.settings import Setup
    from acdc.tasks.prompts import ListedPrompts
    from acdc.tasks.task import Task

ClaimKind = Literal[
    "behaviour",
    "faithfulness",
    "kl",
    "completeness",
    "minimality",
    "necessity",
    "size",
    "edges",
    "specificity",
    "roles",
    "counterexamples",
]


@dataclass(frozen=True)
class Bound:
    """What a value must be: no less than `low`, no more than `high`, or within `tolerance` of its baseline."""

    low: float | None = None
    high: float | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class ClaimSubject:
    """What a circuit is measured on: a task, its name or file (which tells tasks apart), a model's name, a setup.

    `given` says which of it are the file's or the user's own choice, where the circuit's record may say otherwise.
    The model is split as the circuit that it is `fine_as`, if one is given, and its edges are at the spans of that
    where the setup has edges by position.
    """

    task: Task
    key: str
    model: str
    setup: Setup
    fine_as: Circuit | None = None
    given: Given = field(default_factory=Given, compare=False)


@dataclass(frozen=True)
class ClaimedRole:
    """The role that a head is claimed to have, or `unlabelled`."""

    head: Node
    role: str


@dataclass(frozen=True)
class Claim:
    """One thing that is claimed, with its bound and where it stands (`file:line`).

    `other` is the task that the circuit does not do, for specificity; `against` the circuit that it is like, for edges,
    None where that is recorded, or the role that a head of it has, for roles; `prompts` are the counterexamples.
    """

    kind: ClaimKind
    bound: Bound
    place: str
    other: ClaimSubject | None = None
    against: Circuit | ClaimedRole | None = None
    prompts: ListedPrompts | None = None

    @property
    def name(self) -> str:
        """What the claim goes by, such as `faithfulness` or `specificity[induction]`."""
        if isinstance(self.against, ClaimedRole):
            return f"{self.kind}[{self.against.head.name}]"
        return self.kind if self.other is None else f"{self.kind}[{self.other.key}]"

    @property
    def compares_with_recorded_edges(self) -> bool:
        """Whether the circuit is held to edges that were recorded, and not to another file's."""
        return self.kind == "edges" and self.against is None

    @property
    def recordable(self) -> bool:
        """Whether it is held to something that is recorded."""
        return self.bound.tolerance is not None or self.compares_with_recorded_edges


@dataclass(frozen=True)
class Listed:
    """Edges and nodes by name, as they stand in the file: each with its place."""

    names: tuple[tuple[str, str], ...]

    def check(self, graph: ComputationalGraph | None) -> None:
        """Refuse what stands for nothing in this graph, or (None) in any; spans are known when the prompts are.

        Raises: BadHypothesisFile, with the lines of all of them.
        """
        wrong: list[str] = []
        for name, place in self.names:
            try:
                if graph is None:
                    check_form(name)
                else:
                    expand(graph, [name if graph.spans else name.split("@")[0]])
            except GraphsError as error:
                wrong.append(f"{place}: {error}")
        if wrong:
            raise BadHypothesisFile(*wrong)

    @property
    def by_position(self) -> bool:
        """Whether any of them names a span."""
        return any("@" in name for name, _ in self.names)

    def between_nodes(self, graph: ComputationalGraph) -> int:
        """How many edges the nodes among the names stand for in this graph."""
        return len(expand(graph, [name for name, _ in self.names if "->" not in name]))

    def circuit_in(self, graph: ComputationalGraph) -> Circuit:
        """The circuit of what they stand for in this graph.

        Raises: BadHypothesisFile, with the lines of all names that stand for nothing in it.
        """
        try:
            return Circuit(graph, expand(graph, [name for name, _ in self.names]))
        except GraphsError:
            self.check(graph)  # tells the lines of all that is wrong
            raise


def require_graph(own: ComputationalGraph, graph: ComputationalGraph, model: str, place: str) -> None:
    """Refuse a circuit of another model than the one it is measured on.

    Raises: BadHypothesisFile.
    """
    if own != graph:
        raise BadHypothesisFile(
            f"{place}: the circuit is of a model with {own.describe()} and width {own.d_model}, "
            f"but {model} has {graph.describe()} and width {graph.d_model}; give the circuit's own model"
        )


@dataclass(frozen=True)
class Hypothesis:
    """Everything a hypothesis file says, and the values recorded for its claims."""

    path: Path
    subject: ClaimSubject
    circuit: Circuit | Listed
    circuit_place: str
    claims: tuple[Claim, ...]
    baselines: Mapping[str, Baseline] = field(default_factory=dict)

    def circuit_in(self, graph: ComputationalGraph) -> Circuit:
        """The circuit, in the graph of the model that it is measured on.

        Raises: BadHypothesisFile, with the lines of all names that stand for nothing in this graph.
        """
        match self.circuit:
            case Listed():
                return self.circuit.circuit_in(graph)
            case Circuit():
                require_graph(self.circuit.graph, graph, self.subject.model, self.circuit_place)
                return self.circuit
