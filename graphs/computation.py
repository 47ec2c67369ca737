"""The computational graph of a model: which node may write to which receiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, final

from acdc.graphs.anatomy import AbstractAnatomy
from acdc.graphs.errors import NotInGraph
from acdc.graphs.nodes import (
    INPUT,
    LOGITS,
    SLOTS,
    SPLITTABLE,
    Edge,
    Kind,
    Node,
    Receiver,
    Slot,
    SplitKind,
    check_part,
    check_span,
)

if TYPE_CHECKING:
    import networkx

MOST_EDGES = 100_000_000
"""More than the largest open models have; listing them takes minutes and most of a machine's memory."""


@dataclass(frozen=True)
class NodeIndices:
    """Which senders and which receivers an MLP, or a residual stream that is split, is, by number.

    It is one sender, or as many as it is split into, and one receiver, or as many, where parts of an MLP read for
    themselves; each reads those before `reads` (`ComputationalGraph.since` says from where on). Receivers are counted
    without spans.
    """

    kind: SplitKind
    senders: range
    receivers: range
    reads: int

    @property
    def apart(self) -> bool:
        """Whether it has several parts, each of which reads for itself."""
        return len(self.receivers) > 1


@dataclass(frozen=True)
class LayerIndices:
    """Which senders and receivers the nodes of a layer are, by number; receivers are counted without spans.

    `heads` are the senders that attention is: its heads or, where what they write together is split (`as_one`), the
    parts of that. `nodes` are the others of the layer, which have no slots, in topological order: the MLP, if it has
    one, and the residual stream after attention or after the layer, where it is split.
    """

    heads: range
    slots: Mapping[Slot, range]
    nodes: tuple[NodeIndices, ...]
    as_one: bool = False

    @property
    def mlp(self) -> NodeIndices | None:
        """The MLP; None in attention-only models."""
        return next((node for node in self.nodes if node.kind == "mlp"), None)

    @property
    def senders(self) -> range:
        """All senders of the layer."""
        return range(self.heads.start, self.nodes[-1].senders.stop if self.nodes else self.heads.stop)

    @property
    def reads(self) -> int:
        """How many senders, from the first, the heads may read: all that stand before the layer."""
        return self.heads.start

    @property
    def receivers(self) -> range:
        """All receivers of the heads."""
        return range(self.slots[SLOTS[0]].start, self.slots[SLOTS[-1]].stop)


class Split(NamedTuple):
    """The parts that the MLP of a layer is split into, each a sender of its own: `n7`, `f12`, `rest`, `error`.

    Or, by `kind`, what its attention writes, or the residual stream after its attention or after the layer.
    """

    layer: int
    parts: tuple[str, ...]
    kind: SplitKind = "mlp"

    @classmethod
    def of(cls, name: str, parts: Iterable[str]) -> Split:
        """That of the node of this name (`m3`, `a3`, `r3` or `r3mid`) into these parts.

        Raises: BadName.
        """
        node = Node.parse(f"{name}.error")
        return cls(node.layer, tuple(parts), next(kind for kind in SPLITTABLE if kind == node.kind))

    @property
    def node(self) -> Node:
        """What is split."""
        return Node(self.kind, self.layer)

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in topological order."""
        return self.layer, SPLITTABLE.index(self.kind)


@final
@dataclass(frozen=True)
class ComputationalGraph(AbstractAnatomy):
    """All senders and receivers of a transformer, each receiver reading every sender before it.

    Senders stand in topological order (`input`, then per layer the heads and the MLP), so that what a receiver may
    read is always a prefix of them; receivers stand in MIB's order (per layer all q, all k, all v, the MLP; `logits`
    last). With `spans`, parts of prompts by name, every input of a node is a receiver once for each of them, in this
    order and next to each other; `logits`, which are read at the scored position, are one receiver all the same. An MLP
    that `splits` name is as many senders as it has parts, next to each other, and reads as a whole; or, where
    `parts_read`, is as many receivers, in the same order, each of which reads for itself what the MLP may read. What
    the heads of a layer write together is split likewise: the heads still read, and no longer write for themselves. The
    residual stream where it is split reads, as a whole, every sender before it and is read in their place: those behind
    it read its parts, and what comes after (`since`).

    Raises: ValueError as `AbstractAnatomy`, when there are more than `MOST_EDGES` edges, when a span or a part has no
    name that can stand in an edge's or two have the same, something is split that is not there or is split twice, or
    parts are to read and no MLP is split.
    """

    spans: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()
    parts_read: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.spans, tuple) or len({check_span(name) for name in self.spans}) < len(self.spans):
            raise ValueError(f"spans are {self.spans!r}, wanted names as a tuple, no two of them the same")
        places = [split.place for split in self.splits]
        if places != sorted(set(places)) or not all(self._has(split) for split in self.splits):
            named = ", ".join(split.node.name for split in self.splits)
            raise ValueError(f"{named} are split, wanted what the model has, in order, each once")
        for split in self.splits:
            if not split.parts or len({check_part(name) for name in split.parts}) < len(split.parts):
                raise ValueError(f"{split.node} is split into {split.parts!r}, wanted names, no two of them the same")
        if not isinstance(self.parts_read, bool) or (self.parts_read and "mlp" not in (s.kind for s in self.splits)):
            raise ValueError(f"parts_read is {self.parts_read!r}, wanted true or false, and true only with split MLPs")
        if self._n_whole > MOST_EDGES or self.n_edges > MOST_EDGES:
            raise ValueError(f"a model of {self._size()} has more than {MOST_EDGES:,} edges, too many to list")

    @cached_property
    def senders(self) -> tuple[Node, ...]:
        """Every node that writes to the residual stream, in topological order."""
        nodes = [INPUT]
        for layer in range(self.n_layers):
            for kind in SPLITTABLE:
                if kind == "attention" and not self.parts(layer, kind):
                    nodes += [Node("head", layer, head) for head in range(self.n_heads)]
                nodes += [Node(kind, layer, part=part) for part in self.parts(layer, kind)]
        return tuple(nodes)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that reads or writes, in topological order; what reads as a whole stands before its parts."""
        nodes = dict.fromkeys((INPUT,))
        for layer in range(self.n_layers):
            nodes |= dict.fromkeys(Node("head", layer, head) for head in range(self.n_heads))
            for kind in SPLITTABLE:
                written = [Node(kind, layer, part=part) for part in self.parts(layer, kind)]
                nodes |= dict.fromkeys(each for node in written for each in (self.run_as[node], node))
        return (*(node for node in nodes if node.kind != "attention" or node.part), LOGITS)

    def parts(self, layer: int, kind: SplitKind = "mlp") -> tuple[str, ...]:
        """The parts of the MLP of a layer that are senders: one without a name where it is not split.

        Or of what else may be split: none where it is not.
        """
        return self._parts.get((layer, kind), ("",) * (self.has_mlp and kind == "mlp"))

    def written_by(self, node: Node) -> range:
        """Which senders, by number, a node is, which must read, with all that run together with it.

        Of a head these are all heads of its layer, or the parts of what they write together.
        """
        layer = self.layers[node.layer]
        return layer.heads if node.kind in ("head", "attention") else self.indices(node).senders

    def runs_as_one(self, node: Node) -> bool:
        """Whether all that `written_by` has of a node runs together, whichever of it reads something."""
        if node.kind in ("head", "attention"):
            return self.layers[node.layer].as_one
        return not self.indices(node).apart

    @cached_property
    def run_as(self) -> dict[Node, Node]:
        """The node as which every sender and every node that reads is run: it writes there if it reads there.

        Most are run as themselves; parts as what they are parts of, unless they read for themselves; and where what the
        heads of a layer write together is split, heads as its `attention`.
        """
        nodes = dict.fromkeys((*self.senders, *(receiver.node for receiver in self.receivers)))
        return {node: self._run_as(node) for node in nodes}

    def _run_as(self, node: Node) -> Node:
        match node.kind:
            case "head" if self.layers[node.layer].as_one:
                return Node("attention", node.layer)
            case "mlp" if self.parts_read:
                return node
            case _:
                return node.whole

    def indices(self, node: Node) -> NodeIndices:
        """Those of a node without slots, or of a part of one, which there must be."""
        return self._indices[node.layer, node.kind]

    def mlp_senders(self, layer: int) -> range:
        """Which senders, by number, the MLP of a layer is, which there must be."""
        return self.written_by(Node("mlp", layer))

    @cached_property
    def _indices(self) -> dict[tuple[int, Kind], NodeIndices]:
        return {(number, node.kind): node for number, layer in enumerate(self.layers) for node in layer.nodes}

    @cached_property
    def _parts(self) -> dict[tuple[int, SplitKind], tuple[str, ...]]:
        return {(layer, kind): parts for layer, parts, kind in self.splits}

    def _has(self, split: Split) -> bool:
        """Whether there is what a split says; no stream stands between attention and a parallel MLP."""
        lacking = not self.has_mlp if split.kind == "mlp" else split.kind == "resid_mid" and self.parallel
        return 0 <= split.layer < self.n_layers and not lacking

    @cached_property
    def receivers(self) -> tuple[Receiver, ...]:
        """Every input that reads the residual stream, in topological order."""
        receivers: list[Receiver] = []
        for layer in range(self.n_layers):
            receivers += [Receiver(Node("head", layer, h), slot) for slot in SLOTS for h in range(self.n_heads)]
            for kind in SPLITTABLE[1:]:
                receivers += [Receiver(Node(kind, layer, part=part)) for part in self._reading(layer, kind)]
        spans: tuple[str | None, ...] = self.spans or (None,)
        return (*(each._replace(span=span) for each in receivers for span in spans), Receiver(LOGITS))

    def _reading(self, layer: int, kind: SplitKind) -> tuple[str, ...]:
        """The parts of a node without slots that are receivers: one without a name where it reads as a whole."""
        parts = self.parts(layer, kind)
        return parts if self.parts_read and kind == "mlp" else ("",) * bool(parts)

    @property
    def reading_parts(self) -> int:
        """How many parts of MLPs read for themselves."""
        return sum(len(node.receivers) for layer in self.layers for node in layer.nodes if node.apart)

    @property
    def per_input(self) -> int:
        """How many receivers, next to each other, each input of a node other than the logits is."""
        return max(1, len(self.spans))

    @cached_property
    def without_spans(self) -> ComputationalGraph:
        """The same graph with one receiver for each input of a node, whose numbers are those of `layers`."""
        return replace(self, spans=()) if self.spans else self

    @cached_property
    def whole(self) -> ComputationalGraph:
        """The graph of the same model without spans, where no node is split."""
        return replace(self, spans=(), splits=(), parts_read=False)

    def with_spans(self, names: tuple[str, ...]) -> ComputationalGraph:
        """The same graph with these spans; asked for again, it is the same object, which knows its edges already."""
        if names == self.spans:
            return self
        if names not in self._spanned:
            self._spanned[names] = replace(self, spans=names)
        return self._spanned[names]

    @cached_property
    def _spanned(self) -> dict[tuple[str, ...], ComputationalGraph]:
        return {}

    @cached_property
    def sender_index(self) -> dict[Node, int]:
        """The index of each sender in `senders`."""
        return {node: index for index, node in enumerate(self.senders)}

    @cached_property
    def receiver_index(self) -> dict[Receiver, int]:
        """The index of each receiver in `receivers`."""
        return {receiver: index for index, receiver in enumerate(self.receivers)}

    @cached_property
    def layers(self) -> tuple[LayerIndices, ...]:
        """Which senders belong to each layer, and which receivers of the graph without spans: which inputs."""
        layers: list[LayerIndices] = []
        sender, receiver, count = 1, 0, self.n_heads
        for layer in range(self.n_layers):
            as_one = bool(self.parts(layer, "attention"))
            heads = range(sender, sender + (len(self.parts(layer, "attention")) if as_one else count))
            slots = {slot: range(receiver + at * count, receiver + (at + 1) * count) for at, slot in enumerate(SLOTS)}
            sender, receiver = heads.stop, receiver + len(SLOTS) * count
            nodes: list[NodeIndices] = []
            for kind in SPLITTABLE[1:]:
                if parts := self.parts(layer, kind):
                    reads = heads.start if self.parallel and kind == "mlp" else sender
                    senders = range(sender, sender + len(parts))
                    receivers = range(receiver, receiver + len(self._reading(layer, kind)))
                    nodes.append(NodeIndices(kind, senders, receivers, reads))
                    sender, receiver = senders.stop, receivers.stop
            layers.append(LayerIndices(heads, slots, tuple(nodes), as_one))
        return tuple(layers)

    def since(self, reads: int) -> int:
        """The first sender, by number, that is read where so many stand before: 0, or a part of the last stream."""
        return max((start for start, stop in self._streams if stop <= reads), default=0)

    @cached_property
    def _streams(self) -> tuple[tuple[int, int], ...]:
        nodes = (node for layer in self.layers for node in layer.nodes if node.kind != "mlp")
        return tuple((node.senders.start, node.senders.stop) for node in nodes)

    def may_read(self, receiver: Receiver) -> range:
        """Which senders, by number, a receiver may read.

        Raises: NotInGraph when this model has no such receiver.
        """
        reads = self.reads(receiver)
        return range(self.since(reads), reads)

    def reads(self, receiver: Receiver) -> int:
        """Before which of `senders` those stand that the receiver may read; from `since` of it on, all of them.

        Raises: NotInGraph when this model has no such receiver.
        """
        if receiver not in self.receiver_index:
            raise NotInGraph(f"no receiver {receiver.name} in this model, which has {self.describe()}")
        if receiver.node == LOGITS:
            return len(self.senders)
        node = receiver.node
        return self.layers[node.layer].reads if receiver.slot else self.indices(node).reads

    def incoming(self, receiver: Receiver) -> tuple[Edge, ...]:
        """The edges into a receiver, by sender in topological order."""
        may_read = self.may_read(receiver)
        return tuple(Edge(sender, *receiver) for sender in self.senders[may_read.start : may_read.stop])

    def edges(self) -> Iterator[Edge]:
        """Every edge, by receiver and then by sender, in topological order."""
        for receiver in self.receivers:
            yield from self.incoming(receiver)

    @cached_property
    def edge_indices(self) -> dict[Edge, tuple[int, int]]:
        """The receiver and the sender of every edge, by number, in the order of `edges`."""
        return {
            edge: (row, column)
            for row, receiver in enumerate(self.receivers)
            for column, edge in enumerate(self.incoming(receiver), start=self.may_read(receiver).start)
        }

    @cached_property
    def every_edge(self) -> frozenset[Edge]:
        """All edges as a set."""
        return frozenset(self.edge_indices)

    @cached_property
    def n_edges(self) -> int:
        """The number of edges (32,491 in gpt2-small)."""
        if not self.splits:
            return self._n_whole
        heads, spans = len(SLOTS) * self.n_heads, self.per_input
        ends = [(layer.reads, heads * spans) for layer in self.layers]
        ends += [(node.reads, len(node.receivers) * spans) for layer in self.layers for node in layer.nodes]
        ends.append((self.layers[-1].senders.stop, 1))
        return sum((reads - self.since(reads)) * count for reads, count in ends)

    @property
    def _n_whole(self) -> int:
        """The same were nothing split."""
        layers, heads, mlps = self.n_layers, self.n_heads, int(self.has_mlp)
        before = layers + (heads + mlps) * layers * (layers - 1) // 2  # what is read before each layer, summed up
        within = 0 if self.parallel else mlps * heads * layers  # an MLP reads the heads of its own layer
        return ((3 * heads + mlps) * before + within) * self.per_input + 1 + layers * (heads + mlps)

    def __contains__(self, edge: object) -> bool:
        return isinstance(edge, Edge) and edge in self.edge_indices

    def describe(self) -> str:
        """The size of the graph in words, for messages."""
        return f"{self._size()} ({self.n_edges:,} edges)" if self.parts_read else self._size()

    def _size(self) -> str:
        """The same, without listing edges to count them."""
        mlp = "no MLPs" if not self.has_mlp else "parallel MLPs" if self.parallel else "MLPs"
        size = f"{self.n_layers} layers, {self.n_heads} heads per layer and {mlp}"
        for split in self.splits:
            reading = " that read for themselves" if self.parts_read and split.kind == "mlp" else ""
            size += f", {split.node} in {len(split.parts):,} parts{reading}"
        return f"{size}, by position ({', '.join(self.spans)})" if self.spans else size

    def networkx(self) -> networkx.MultiDiGraph[str]:
        """The whole graph for networkx: nodes by name, one edge per slot and span, keyed by name."""
        import networkx

        graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
        graph.add_nodes_from(node.name for node in (*self.senders, LOGITS))
        for edge in self.edges():
            where = {"span": edge.span} if edge.span else {}
            graph.add_edge(edge.sender.name, edge.receiver.name, edge.name, slot=edge.slot or "", **where)
        return graph
