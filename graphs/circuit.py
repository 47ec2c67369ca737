"""A circuit: some of a model's edges, their scores, and where they come from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from acdc.graphs import mib_form, networkx_form, tables
from acdc.graphs import roles as node_roles
from acdc.graphs.anatomy import AbstractAnatomy
from acdc.graphs.computation import ComputationalGraph, Split
from acdc.graphs.constants import KEY as CONSTANTS
from acdc.graphs.constants import Constants, without_content
from acdc.graphs.errors import BadCircuitFile, DifferentGraphs, NotInCircuit, NotInGraph
from acdc.graphs.files import finite_numbers, read, read_text, write_atomically
from acdc.graphs.live_edges import live
from acdc.graphs.nodes import Edge, Node

if TYPE_CHECKING:
    import networkx
    import numpy
    import numpy.typing
    import pandas

SCHEMA = "acdc.circuit/1"
FINER = "acdc.circuit/2"
"""The schema of circuits whose edges have spans or whose MLPs are split; the others are of the first, which older
versions read."""
_OWN_KEYS = frozenset({"schema", "graph", "edges", "roles"})


@dataclass(frozen=True)
class Circuit:
    """A subset of the edges of a computational graph.

    `scores` holds a signed number for some or all of its edges (what it means is the provenance's to say: `algorithm`
    holds it in words as `score` and as `score_kind`, "effect" for what a removal was measured to cost, "estimate" for
    what gradients say it would, "node" and "slot" for what removing more than the edge cost). `provenance` is plain
    JSON data: model, task, prompts, ablation, metric, algorithm, faithfulness. `frequencies` holds, for some or all of
    its edges, the fraction of repeated discoveries that found them, and `roles` what `acdc explain` says of its nodes.
    Circuits are equal when graph and edges are.

    Raises: NotInGraph when an edge, or the edge of a score or frequency, is not the graph's or not the circuit's;
    ValueError when a frequency is no fraction, or the provenance uses a key of the file that is the circuit's own.
    """

    graph: ComputationalGraph
    edges: frozenset[Edge]
    scores: Mapping[Edge, float] = field(default_factory=dict, compare=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)
    frequencies: Mapping[Edge, float] = field(default_factory=dict, compare=False)
    roles: Mapping[Node, node_roles.NodeRole] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not self.edges <= self.graph.every_edge:
            foreign = sorted(edge.name for edge in self.edges - self.graph.every_edge)
            raise NotInGraph(
                f"{len(foreign)} edges are not in this model, the first being {foreign[0]}; "
                f"the model has {self.graph.describe()}, and a receiver reads only what was written before it"
            )
        for what, given in (("scores", self.scores), ("frequencies", self.frequencies)):
            stray = sorted(edge.name for edge in given if edge not in self.edges)
            if stray:
                raise NotInGraph(
                    f"{what} are given for {len(stray)} edges outside the circuit, the first being {stray[0]}"
                )
        for edge, frequency in self.frequencies.items():
            if not 0 <= frequency <= 1:
                raise ValueError(f"the frequency of {edge.name} is {frequency}; wanted a fraction from 0 to 1")
        taken = sorted(_OWN_KEYS & self.provenance.keys())
        if taken:
            raise ValueError(f"provenance cannot have the keys {taken}, which a circuit file needs; rename them")

    # Making circuits

    @classmethod
    def full(cls, graph: ComputationalGraph) -> Circuit:
        """The whole model."""
        return cls(graph, graph.every_edge)

    @classmethod
    def empty(cls, graph: ComputationalGraph) -> Circuit:
        """No edge at all: every receiver reads only what missing edges carry."""
        return cls(graph, frozenset())

    @classmethod
    def from_names(cls, graph: ComputationalGraph, names: Iterable[str]) -> Circuit:
        """The circuit of the edges with these names.

        Raises: BadName, NotInGraph.
        """
        return cls(graph, frozenset(Edge.parse(name) for name in names))

    @classmethod
    def from_mask(cls, graph: ComputationalGraph, mask: numpy.typing.NDArray[numpy.bool_]) -> Circuit:
        """The circuit of the edges where `mask` [receiver, sender] is true."""
        return cls(graph, frozenset(edge for edge, index in graph.edge_indices.items() if mask[index]))

    # Asking

    def pairs(self) -> frozenset[Edge]:
        """The edges without their spans: which sender is read by which receiver, wherever that is."""
        return frozenset(edge.at_every_span for edge in self.edges)

    def without_spans(self) -> Circuit:
        """The circuit of the same `pairs` at every position, in the graph without spans; scores are not kept.

        One of a graph without spans is itself.
        """
        return Circuit(self.graph.without_spans, self.pairs()) if self.graph.spans else self

    def __len__(self) -> int:
        return len(self.edges)

    def __iter__(self) -> Iterator[Edge]:
        return iter(self.ordered())

    def __contains__(self, edge: object) -> bool:
        """Whether this edge, or the edge of this name, is in the circuit.

        Raises: BadName for a text that is no edge's name.
        """
        return (Edge.parse(edge) if isinstance(edge, str) else edge) in self.edges

    def __getitem__(self, edge: Edge | str) -> float | None:
        """The score of an edge of the circuit, itself or by name; None where it has none.

        Raises: NotInCircuit for an edge outside the circuit; BadName for a text that is no edge's name.
        """
        wanted = Edge.parse(edge) if isinstance(edge, str) else edge
        if wanted not in self.edges:
            near = get_close_matches(str(wanted), [e.name for e in self.ordered()], n=3, cutoff=0.5)
            hint = f"the nearest in it are {', '.join(near)}" if near else "iterate over the circuit for its edges"
            raise NotInCircuit(f"no edge {wanted} in this circuit of {len(self):,} edges; {hint}")
        return self.scores.get(wanted)

    def __repr__(self) -> str:
        graph, first = self.graph, ", ".join(edge.name for edge in self.strongest_first()[:3])
        size = f"{len(self):,} of {graph.n_edges:,} edges, {graph.n_layers} layers of {graph.n_heads} heads"
        strongest = f"strongest {first}" if self.scores else f"first {first}"
        return f"<Circuit: {size}{f'; {strongest}' if self.edges else ''}>"

    def ordered(self) -> tuple[Edge, ...]:
        """The edges by receiver and then by sender, in topological order."""
        return tuple(sorted(self.edges, key=self.graph.edge_indices.__getitem__))

    def strongest_first(self) -> tuple[Edge, ...]:
        """The edges by |score|, the largest first and those without a score last; equals in topological order."""
        return tuple(sorted(self.ordered(), key=lambda edge: -abs(self.scores.get(edge, 0.0))))

    def strongest(self, count: int) -> Circuit:
        """The circuit of the first `count` of its edges by |score|, keeping scores, frequencies and provenance."""
        return self.without(self.strongest_first()[count:])

    def nodes(self) -> tuple[Node, ...]:
        """Every node that an edge starts or ends in, in topological order, `logits` last.

        What is split and reads as a whole stands before its parts, which write.
        """
        met = {edge.sender for edge in self.edges} | {edge.receiver for edge in self.edges}
        return tuple(node for node in self.graph.nodes if node in met)

    def heads(self) -> tuple[Node, ...]:
        """The attention heads among `nodes`."""
        return tuple(node for node in self.nodes() if node.kind == "head")

    def mask(self) -> numpy.typing.NDArray[numpy.bool_]:
        """Which edges are in, as [receiver, sender] in the graph's order."""
        mask: numpy.typing.NDArray[numpy.bool_] = self._mask.copy()
        return mask

    @cached_property
    def _mask(self) -> numpy.typing.NDArray[numpy.bool_]:
        import numpy

        mask = numpy.zeros((len(self.graph.receivers), len(self.graph.senders)), dtype=bool)
        if self.edges:
            mask[tuple(zip(*(self.graph.edge_indices[edge] for edge in self.edges), strict=True))] = True
        return mask

    # Set algebra; scores follow the left circuit, then the right, and neither provenance nor frequencies survive

    def _combine(
        self, other: Circuit, operation: Callable[[frozenset[Edge], frozenset[Edge]], frozenset[Edge]]
    ) -> Circuit:
        if self.graph != other.graph:
            raise DifferentGraphs(
                f"circuits of two different models cannot be combined: {self.graph.describe()} against "
                f"{other.graph.describe()}; take both from the same architecture"
            )
        edges = operation(self.edges, other.edges)
        scores = {edge: score for edge, score in {**other.scores, **self.scores}.items() if edge in edges}
        return Circuit(self.graph, edges, scores)

    def __or__(self, other: Circuit) -> Circuit:
        return self._combine(other, frozenset.__or__)

    def __and__(self, other: Circuit) -> Circuit:
        return self._combine(other, frozenset.__and__)

    def __sub__(self, other: Circuit) -> Circuit:
        return self._combine(other, frozenset.__sub__)

    def __xor__(self, other: Circuit) -> Circuit:
        return self._combine(other, frozenset.__xor__)

    def __invert__(self) -> Circuit:
        return Circuit.full(self.graph) - self

    def __le__(self, other: Circuit) -> bool:
        return len(self._combine(other, frozenset.__sub__)) == 0

    def __lt__(self, other: Circuit) -> bool:
        return self <= other and self.edges != other.edges

    def without(self, edges: Iterable[Edge]) -> Circuit:
        """The circuit less these edges, keeping scores, frequencies and provenance, but not roles, if any is gone."""
        kept = self.edges - frozenset(edges)
        scores = {edge: score for edge, score in self.scores.items() if edge in kept}
        frequencies = {edge: frequency for edge, frequency in self.frequencies.items() if edge in kept}
        roles = self.roles if kept == self.edges else {}
        return replace(self, edges=kept, scores=scores, frequencies=frequencies, roles=roles)

    def pruned(self) -> Circuit:
        """The circuit without its dead edges: those on no path from `input` to `logits`, which carry nothing."""
        return self.without(self.edges - live(self.graph, self.edges))

    # Files

    def to_json(self) -> dict[str, Any]:
        """The circuit as plain JSON data; `from_json` gives back exactly this circuit.

        It is of schema `acdc.circuit/1`, or `acdc.circuit/2` with spans or split MLPs. Of learned constants it has the
        hash; `save` writes them beside it.
        """
        return {**self._record(), "edges": [self._row(edge) for edge in self.ordered()]}

    def _record(self) -> dict[str, Any]:
        size = {name: getattr(self.graph, name) for name in AbstractAnatomy.__dataclass_fields__}
        size |= {"spans": list(self.graph.spans)} if self.graph.spans else {}
        splits = {split.node.name: list(split.parts) for split in self.graph.splits}
        size |= {"splits": splits} if splits else {}
        size |= {"parts_read": True} if self.graph.parts_read else {}
        counts = {
            "edges": self.graph.n_edges,
            "senders": len(self.graph.senders),
            "receivers": len(self.graph.receivers),
        }
        roles = {"roles": node_roles.to_json(self.roles)} if self.roles else {}
        schema = FINER if self.graph.spans or self.graph.splits else SCHEMA
        return {"schema": schema, **without_content(self.provenance), **roles, "graph": {**counts, **size}}

    def _row(self, edge: Edge) -> dict[str, Any]:
        often = {"frequency": self.frequencies[edge]} if edge in self.frequencies else {}
        return {"edge": edge.name, "score": self.scores.get(edge), **often}

    @classmethod
    def from_json(cls, data: object, where: str = "the circuit") -> Circuit:
        """The circuit that `to_json` wrote.

        Raises: BadCircuitFile when the data is not of the schema or contradicts itself.
        """
        if not isinstance(data, dict) or data.get("schema") not in (SCHEMA, FINER):
            got = data.get("schema", "no schema") if isinstance(data, dict) else type(data).__name__
            raise BadCircuitFile(
                f"{where} is no circuit file: got {got!r}, wanted schema {SCHEMA!r} or {FINER!r}; "
                "write one with `acdc discover`"
            )
        try:
            sizes = {name: data["graph"][name] for name in AbstractAnatomy.__dataclass_fields__}
            finer = data["graph"] if data["schema"] == FINER else {}
            split = tuple(Split.of(name, parts) for name, parts in finer.get("splits", {}).items())
            spans, reads = tuple(finer.get("spans", ())), finer.get("parts_read", False)
            graph = ComputationalGraph(**sizes, spans=spans, splits=split, parts_read=reads)
            scores = {Edge.parse(row["edge"]): row["score"] for row in data["edges"]}
            if len(scores) < len(data["edges"]):
                raise ValueError("an edge is listed twice")
            known = finite_numbers({edge: score for edge, score in scores.items() if score is not None}, "score")
            provenance = {key: value for key, value in data.items() if key not in _OWN_KEYS}
            often = {Edge.parse(row["edge"]): row["frequency"] for row in data["edges"] if "frequency" in row}
            roles = node_roles.from_json(data.get("roles", {}))
            return cls(graph, frozenset(scores), known, provenance, finite_numbers(often, "frequency"), roles)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadCircuitFile(
                f"{where} has schema {data['schema']!r} but is damaged: {error}; discover it again"
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the circuit's JSON, whole or not at all, and beside it the constants that missing edges carry, if any.

        Raises: BadCircuitFile when its constants are not at hand.
        """
        if CONSTANTS in self.provenance:
            Constants.from_json(self.provenance[CONSTANTS]).save(Path(path).parent)
        write_atomically(Path(path), (json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Circuit:
        """The circuit in that file: ours, GraphML of ours, or either form of MIB's (see `graphs.mib`).

        Raises: BadCircuitFile when the file is missing, truncated, foreign or damaged, or its circuit has no edge.
        """
        if Path(path).suffix == mib_form.MATRIX:
            circuit = cls._of_parts(mib_form.of_matrix(path))
        elif Path(path).suffix.lower() == networkx_form.GRAPHML:
            circuit = cls.from_json(networkx_form.of_graphml(read_text(Path(path)), str(path)), str(path))
        else:
            data = read(Path(path))
            mib = mib_form.is_mib(data)
            circuit = cls._of_parts(mib_form.of_json(data)) if mib else cls.from_json(data, str(path))
            circuit = circuit._with_constants(Path(path))
        if not circuit.edges:
            raise BadCircuitFile(
                f"the circuit in {path} has 0 edges, so it does nothing; give one that has some, or discover it again "
                "with another goal"
            )
        return circuit

    def _with_constants(self, file: Path) -> Circuit:
        """The same with the constants that missing edges carry, from beside its file, where it has any."""
        if CONSTANTS not in self.provenance:
            return self
        constants = Constants.load(file, self.provenance[CONSTANTS]).to_json()
        return replace(self, provenance={**self.provenance, CONSTANTS: constants})

    @classmethod
    def _of_parts(cls, parts: mib_form.CircuitParts) -> Circuit:
        return cls(parts.graph, frozenset(parts.scores), parts.scores, frequencies=parts.frequencies)

    # Other forms

    def networkx(self) -> networkx.MultiDiGraph[str]:
        """The circuit for networkx: nodes by name, edges with slot, score and frequency, and all else as JSON text."""
        return networkx_form.multigraph(self.nodes(), map(self._row, self.ordered()), self._record())

    def to_graphml(self) -> str:
        """The circuit as GraphML text, for Gephi, yEd and the like; `load` reads it again from a .graphml file."""
        return networkx_form.graphml(self.networkx())

    def to_pandas(self) -> pandas.DataFrame:
        """The edges as a table, in topological order: edge, sender, receiver, slot, span, score, frequency."""
        return tables.edges(self.ordered(), self.scores, self.frequencies)

    def page(self, height: int = 900) -> Any:
        """The circuit's interactive page for a notebook, in a frame so many pixels high, as `acdc.page` makes it.

        Raises: RuntimeError where nothing that makes pages is installed.
        """
        from importlib.metadata import entry_points

        makers = entry_points(group="acdc.pages")  # whoever makes pages knows circuits, and not the other way round
        if not makers:
            raise RuntimeError("no package that makes pages of circuits is installed; install acdc-circuits with pip")
        return next(iter(makers)).load()(self, height)

    def _repr_svg_(self) -> str | None:
        # found by name: drawing knows circuits, and not the other way round
        shown: Callable[[Circuit], str | None] = resolve_name("acdc.graphs.drawing.notebook:picture")
        return shown(self)
