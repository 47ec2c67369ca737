"""The computational graph of a model: which node may write to which receiver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, final

from acdc.graphs.anatomy import AbstractAnatomy
from acdc.graphs.errors import NotInGraph
from acdc.graphs.nodes import INPUT, LOGITS, SLOTS, Edge, Node, Receiver, Slot, check_part, check_span

if TYPE_CHECKING:
    import networkx

MOST_EDGES = 100_000_000
"""More than the largest open models have; listing them takes minutes and most of a machine's memory."""


@dataclass(frozen=True)
class MlpIndices:
    """Which senders and which receivers an MLP is, by number, and how many senders, from the first, it may read.

    It is one sender, or as many as it is split into; and one receiver, or as many, where parts read for themselves.
    Receivers are counted without spans.
    """

    senders: range
    receivers: range
    reads: int

    @property
    def apart(self) -> bool:
        """Whether it has several parts, each of which reads for itself."""
        return len(self.receivers) > 1


@dataclass(frozen=True)
class LayerIndices:
    """Which senders and receivers the nodes of a layer are, by number; `mlp` is None in attention-only models.

    Receivers are counted without spans.
    """

    heads: range
    slots: Mapping[Slot, range]
    mlp: MlpIndices | None

    @property
    def reads(self) -> int:
        """How many senders, from the first, the heads may read: all that stand before the layer."""
        return self.heads.start

    @property
    def receivers(self) -> range:
        """All receivers of the heads."""
        return range(self.slots[SLOTS[0]].start, self.slots[SLOTS[-1]].stop)


class Split(NamedTuple):
    """The parts that the MLP of a layer is split into, each a sender of its own: `n7`, `f12`, `rest`, `error`."""

    layer: int
    parts: tuple[str, ...]


@final
@dataclass(frozen=True)
class ComputationalGraph(AbstractAnatomy):
    """All senders and receivers of a transformer, each receiver reading every sender before it.

    Senders stand in topological order (`input`, then per layer the heads and the MLP), so that what a receiver may
    read is always a prefix of them; receivers stand in MIB's order (per layer all q, all k, all v, the MLP; `logits`
    last). With `spans`, parts of prompts by name, every input of a node is a receiver once for each of them, in this
    order and next to each other; `logits`, which are read at the scored position, are one receiver all the same. An MLP
    that `splits` name is as many senders as it has parts, next to each other, and reads as a whole; or, where
    `parts_read`, is as many receivers, in the same order, each of which reads for itself what the MLP may read.

    Raises: ValueError as `AbstractAnatomy`, when there are more than `MOST_EDGES` edges, when a span or a part has no
    name that can stand in an edge's or two have the same, a layer that is split has no MLP or is split twice, or parts
    are to read and nothing is split.
    """

    spans: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()
    parts_read: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.spans, tuple) or len({check_span(name) for name in self.spans}) < len(self.spans):
            raise ValueError(f"spans are {self.spans!r}, wanted names as a tuple, no two of them the same")
        layers = [layer for layer, _ in self.splits]
        if layers != sorted(set(layers)) or not all(0 <= layer < self.n_layers * self.has_mlp for layer in layers):
            raise ValueError(f"the MLPs of the layers {layers} are split, wanted layers with MLPs in order, each once")
        for layer, parts in self.splits:
            if not parts or len({check_part(name) for name in parts}) < len(parts):
                raise ValueError(f"m{layer} is split into {parts!r}, wanted names, no two of them the same")
        if not isinstance(self.parts_read, bool) or (self.parts_read and not self.splits):
            raise ValueError(f"parts_read is {self.parts_read!r}, wanted true or false, and true only with split MLPs")
        if self.n_edges > MOST_EDGES:
            raise ValueError(f"a model of {self.describe()} has more than {MOST_EDGES:,} edges, too many to list")

    @cached_property
    def senders(self) -> tuple[Node, ...]:
        """Every node that writes to the residual stream, in topological order."""
        nodes = [INPUT]
        for layer in range(self.n_layers):
            nodes += [Node("head", layer, head) for head in range(self.n_heads)]
            nodes += [Node("mlp", layer, part=part) for part in self.parts(layer)]
        return tuple(nodes)

    def parts(self, layer: int) -> tuple[str, ...]:
        """The parts of the MLP of a layer that are senders: one without a name where it is not split."""
        return self._parts.get(layer, ("",) * self.has_mlp)

    def mlp_senders(self, layer: int) -> range:
        """Which senders, by number, the MLP of a layer is, which there must be."""
        mlp = self.layers[layer].mlp
        assert mlp is not None
        return mlp.senders

    def reader(self, node: Node) -> Node:
        """The node that reads what a sender writes something of: itself, or the MLP that it is a part of."""
        return node if self.parts_read else node.whole

    @cached_property
    def _parts(self) -> dict[int, tuple[str, ...]]:
        return dict(self.splits)

    @cached_property
    def receivers(self) -> tuple[Receiver, ...]:
        """Every input that reads the residual stream, in topological order."""
        receivers: list[Receiver] = []
        for layer in range(self.n_layers):
            receivers += [Receiver(Node("head", layer, h), slot) for slot in SLOTS for h in range(self.n_heads)]
            receivers += [Receiver(Node("mlp", layer, part=part)) for part in self._reading(layer)]
        spans: tuple[str | None, ...] = self.spans or (None,)
        return (*(each._replace(span=span) for each in receivers for span in spans), Receiver(LOGITS))

    def _reading(self, layer: int) -> tuple[str, ...]:
        """The parts of the MLP of a layer that are receivers: one without a name where it reads as a whole."""
        return self.parts(layer) if self.parts_read else ("",) * self.has_mlp

    @property
    def reading_parts(self) -> int:
        """How many parts of MLPs read for themselves."""
        return sum(len(parts) for _, parts in self.splits) if self.parts_read else 0

    @property
    def per_input(self) -> int:
        """How many receivers, next to each other, each input of a node other than the logits is."""
        return max(1, len(self.spans))

    @cached_property
    def without_spans(self) -> ComputationalGraph:
        """The same graph with one receiver for each input of a node, whose numbers are those of `layers`."""
        return replace(self, spans=()) if self.spans else self

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
            heads = range(sender, sender + count)
            slots = {slot: range(receiver + at * count, receiver + (at + 1) * count) for at, slot in enumerate(SLOTS)}
            sender, receiver = sender + count, receiver + len(SLOTS) * count
            senders = range(sender, sender + len(self.parts(layer)))
            receivers = range(receiver, receiver + len(self._reading(layer)))
            mlp = MlpIndices(senders, receivers, heads.start if self.parallel else sender) if self.has_mlp else None
            layers.append(LayerIndices(heads, slots, mlp))
            sender, receiver = senders.stop, receivers.stop
        return tuple(layers)

    def reads(self, receiver: Receiver) -> int:
        """How many of `senders`, from the first, the receiver may read.

        Raises: NotInGraph when this model has no such receiver.
        """
        if receiver not in self.receiver_index:
            raise NotInGraph(f"no receiver {receiver.name} in this model, which has {self.describe()}")
        if receiver.node == LOGITS:
            return len(self.senders)
        layer = self.layers[receiver.node.layer]
        return layer.reads if layer.mlp is None or receiver.slot else layer.mlp.reads

    def incoming(self, receiver: Receiver) -> tuple[Edge, ...]:
        """The edges into a receiver, by sender in topological order."""
        return tuple(Edge(sender, *receiver) for sender in self.senders[: self.reads(receiver)])

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
            for column, edge in enumerate(self.incoming(receiver))
        }

    @cached_property
    def every_edge(self) -> frozenset[Edge]:
        """All edges as a set."""
        return frozenset(self.edge_indices)

    @cached_property
    def n_edges(self) -> int:
        """The number of edges (32,491 in gpt2-small)."""
        layers, heads, mlps = self.n_layers, self.n_heads, int(self.has_mlp)
        before = layers + (heads + mlps) * layers * (layers - 1) // 2  # what is read before each layer, summed up
        within = 0 if self.parallel else mlps * heads * layers  # an MLP reads the heads of its own layer
        whole = ((3 * heads + mlps) * before + within) * self.per_input + 1 + layers * (heads + mlps)
        # each part but the first is one more sender to whatever comes after its layer
        later = ((len(parts) - 1, layers - 1 - layer) for layer, parts in self.splits)
        whole += sum(more * (after * (3 * heads + mlps) * self.per_input + 1) for more, after in later)
        # and where it reads, one more receiver of all that stands before, of which parts are more senders
        more = 0
        for layer, parts in self.splits if self.parts_read else ():
            reads = 1 + layer * (heads + 1) + (0 if self.parallel else heads) + more
            whole += (len(parts) - 1) * reads * self.per_input
            more += len(parts) - 1
        return whole

    def __contains__(self, edge: object) -> bool:
        return isinstance(edge, Edge) and edge in self.edge_indices

    def describe(self) -> str:
        """The size of the graph in words, for messages."""
        mlp = "no MLPs" if not self.has_mlp else "parallel MLPs" if self.parallel else "MLPs"
        size = f"{self.n_layers} layers, {self.n_heads} heads per layer and {mlp}"
        size += "".join(f", m{layer} in {len(parts):,} parts" for layer, parts in self.splits)
        size += f" that read for themselves ({self.n_edges:,} edges)" if self.parts_read else ""
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
