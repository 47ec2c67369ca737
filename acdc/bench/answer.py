"""What a method says about a whole graph: a score for every edge, or a family of circuits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import final

from acdc.bench import roc
from acdc.bench.roc import Roc
from acdc.discovery.selection import Rule, Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import NotInGraph
from acdc.graphs.nodes import INPUT, LOGITS, Edge, Node
from acdc.precision import require_finite


class AbstractAnswer(ABC):
    """What can be asked of an answer, whatever its form."""

    @property
    @abstractmethod
    def graph(self) -> ComputationalGraph:
        """The graph it is about."""

    @abstractmethod
    def edge_roc(self, true: frozenset[Edge]) -> Roc | None:
        """How the true edges stand out among all; None where all or none are true."""

    @abstractmethod
    def node_roc(self, true: frozenset[Node]) -> Roc | None:
        """How the true heads and MLPs stand out among all; None where all or none are true."""

    @abstractmethod
    def near(self, count: int) -> Circuit:
        """The circuit of as nearly `count` edges as the answer has one, dead edges gone."""

    @abstractmethod
    def within(self, count: int, *, signed: bool) -> Circuit:
        """The circuit of at most `count` edges, dead edges gone; `signed` says whether harmful edges come last."""


@final
@dataclass(frozen=True)
class Ranking(AbstractAnswer):
    """A score for every edge of the graph.

    The absolute value of a score ranks its edge. A node is ranked by the highest absolute value of its edges, in and
    out.

    Raises: NotInGraph when an edge has no score; NotFinite.
    """

    scored: Circuit

    def __post_init__(self) -> None:
        if len(self.scored.scores) < self.graph.n_edges:
            raise NotInGraph(
                f"a ranking needs a score for every edge: got {len(self.scored.scores):,} of {self.graph.n_edges:,}; "
                "give what a scoring method returns"
            )
        require_finite("a ranking", list(self.scored.scores.values()))

    @property
    def graph(self) -> ComputationalGraph:
        """The graph it is about."""
        return self.scored.graph

    def edge_roc(self, true: frozenset[Edge]) -> Roc | None:
        """The curve of the edges by absolute score."""
        return roc.of_ranking({edge: abs(score) for edge, score in self.scored.scores.items()}, true)

    def node_roc(self, true: frozenset[Node]) -> Roc | None:
        """The curve of the heads and MLPs by the highest absolute score of their edges."""
        highest = dict.fromkeys(inner_nodes(self.graph.senders), 0.0)
        for edge, score in self.scored.scores.items():
            for node in inner_nodes((edge.sender, edge.receiver)):
                highest[node] = max(highest[node], abs(score))
        return roc.of_ranking(highest, true)

    def near(self, count: int) -> Circuit:
        """The circuit of `count` edges after dead ones are gone, or of a few fewer where there is none."""
        return self._absolute.of_size(count)

    def within(self, count: int, *, signed: bool) -> Circuit:
        """The circuit of the first `count` edges, less those that are dead."""
        return (self._signed if signed else self._absolute).first(count)

    @cached_property
    def _absolute(self) -> Selection:
        return Selection.of(self.scored, Rule.TOP)

    @cached_property
    def _signed(self) -> Selection:
        return Selection.of(self.scored, Rule.SIGNED)


@final
@dataclass(frozen=True)
class Family(AbstractAnswer):
    """Circuits of one graph, such as pruning leaves at one threshold after another, dead edges gone.

    It ranks nothing: between two of its circuits it says nothing, and its circuits need not contain each other. Both
    signs are in them already.
    """

    whole: ComputationalGraph
    circuits: tuple[Circuit, ...]

    @property
    def graph(self) -> ComputationalGraph:
        """The graph it is about."""
        return self.whole

    def edge_roc(self, true: frozenset[Edge]) -> Roc | None:
        """The curve through the circuits' edges."""
        return roc.of_family((one.edges for one in self.circuits), true, frozenset(self.whole.edges()))

    def node_roc(self, true: frozenset[Node]) -> Roc | None:
        """The curve through the circuits' heads and MLPs."""
        found = (frozenset(inner_nodes(one.nodes())) for one in self.circuits)
        return roc.of_family(found, true, frozenset(inner_nodes(self.whole.senders)))

    def near(self, count: int) -> Circuit:
        """The circuit nearest in size, of two as near the smaller."""
        empty = Circuit.empty(self.whole)
        return min(self.circuits, key=lambda one: (abs(len(one) - count), len(one)), default=empty)

    def within(self, count: int, *, signed: bool) -> Circuit:
        """The largest circuit of at most `count` edges; the whole model and no edge at all are among them."""
        every = (Circuit.empty(self.whole), *self.circuits, Circuit.full(self.whole))
        return max((one for one in every if len(one) <= count), key=len)


def inner_nodes(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The heads and MLPs among these nodes; input and logits are part of every circuit."""
    return tuple(node for node in nodes if node not in (INPUT, LOGITS))
