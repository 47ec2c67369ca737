"""Nodes and edges of the computational graph, and the names they go by on disk and between packages."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

from acdc.graphs.errors import BadName

Kind = Literal["input", "head", "attention", "resid_mid", "mlp", "resid_post", "logits"]
SplitKind = Literal["attention", "resid_mid", "mlp", "resid_post"]
SPLITTABLE: tuple[SplitKind, ...] = get_args(SplitKind)
"""What can be split into parts, in the order in which they stand in a layer."""
Slot = Literal["q", "k", "v"]
SLOTS: tuple[Slot, ...] = ("q", "k", "v")

_NUMBER = "0|[1-9][0-9]{0,8}"  # in one way only, so that no two names are one node's
_PART = f"[nf](?:{_NUMBER})|rest|error"
_OF_FEATURES = f"f(?:{_NUMBER})|rest|error"
_NODE = re.compile(
    rf"(?P<input>input)|(?P<logits>logits)|a(?P<layer>{_NUMBER})\.h(?P<head>{_NUMBER})"
    rf"|m(?P<mlp>{_NUMBER})(?:\.(?P<part>{_PART}))?"
    rf"|a(?P<attention>{_NUMBER})\.(?P<of_attention>{_OF_FEATURES})"
    rf"|r(?P<stream>{_NUMBER})(?P<mid>mid)?(?:\.(?P<of_stream>{_OF_FEATURES}))?"
)
_EDGE = re.compile(r"(?P<sender>[^-<>@]+)->(?P<receiver>[^-<>@]+)(?:<(?P<slot>[qkv])>)?(?:@(?P<span>.*))?")
_SPAN = re.compile(r"[A-Za-z0-9_.+-]+")
_NOT_IN_SPANS = re.compile(r"[^A-Za-z0-9_.+-]")


def span_name(text: str) -> str:
    """What a span of this name is called in edges: with `_` for spaces and all else that cannot stand there."""
    return _NOT_IN_SPANS.sub("_", text.strip()) or "_"


def check_part(name: str) -> str:
    """The name itself, if a part of a node can have it.

    Raises: BadName.
    """
    if not isinstance(name, str) or not re.fullmatch(_PART, name):
        raise BadName(f"no part of a node is called {name!r}; parts are called 'n7', 'f12', 'rest' or 'error'")
    return name


def check_span(name: str) -> str:
    """The name itself, if a span can have it.

    Raises: BadName.
    """
    if not isinstance(name, str) or not _SPAN.fullmatch(name):
        raise BadName(f"no span is called {name!r}; spans are named by letters, digits and any of _ . + -, as in 'S1'")
    return name


class Node(NamedTuple):
    """A part of the model: the embedding, one attention head, one MLP, or the unembedding.

    `layer` and `head` are 0-based and -1 where they mean nothing. `part` is that of an MLP which is split: a neuron
    (`n7`), a feature (`f12`), all other features (`rest`), or what no feature says (`error`). What the heads of a layer
    write together (`attention`) and the residual stream after attention (`resid_mid`) or after the layer (`resid_post`)
    are nodes where they are split into features.
    """

    kind: Kind
    layer: int = -1
    head: int = -1
    part: str = ""

    @property
    def name(self) -> str:
        """The field's name of the node: `input`, `a5.h3`, `m7` or `logits`; of parts `m7.f12`, `a5.f3`, `r4.error`."""
        match self.kind:
            case "head":
                return f"a{self.layer}.h{self.head}"
            case "input" | "logits":
                return self.kind
            case kind:
                letter, after = _LETTERS[kind]
                return f"{letter}{self.layer}{after}" + (f".{self.part}" if self.part else "")

    @property
    def whole(self) -> Node:
        """The node that it is a part of, or itself."""
        return Node(self.kind, self.layer, self.head) if self.part else self

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, name: str) -> Node:
        """The node of that name.

        Raises: BadName for anything but `input`, `a5.h3`, `m7`, a part of an MLP such as `m7.f12`, or `logits`.
        """
        found = _NODE.fullmatch(name)
        if found is None:
            raise BadName(f"no node is called {name!r}; nodes are written 'input', 'a5.h3', 'm7' or 'logits'")
        if found["input"]:
            return INPUT
        if found["logits"]:
            return LOGITS
        if found["mlp"]:
            return cls("mlp", int(found["mlp"]), part=found["part"] or "")
        if found["attention"]:
            return cls("attention", int(found["attention"]), part=found["of_attention"])
        if found["stream"]:
            kind: Kind = "resid_mid" if found["mid"] else "resid_post"
            return cls(kind, int(found["stream"]), part=found["of_stream"] or "")
        return cls("head", int(found["layer"]), int(found["head"]))


_LETTERS: dict[SplitKind, tuple[str, str]] = {
    "attention": ("a", ""),
    "resid_mid": ("r", "mid"),
    "mlp": ("m", ""),
    "resid_post": ("r", ""),
}
INPUT = Node("input")
LOGITS = Node("logits")


class Receiver(NamedTuple):
    """An input that reads the residual stream: a head's query, key or value input, an MLP or a part, or the logits.

    With a `span` it is that input at the positions of this span only; where a graph has spans, each of its inputs but
    the logits, which are read at the scored position, has one.
    """

    node: Node
    slot: Slot | None = None
    span: str | None = None

    @property
    def name(self) -> str:
        """The field's name of the receiver, `a5.h3<q>`, `m7` or `logits`, and its span, as in `a5.h3<q>@END`."""
        name = self.node.name if self.slot is None else f"{self.node.name}<{self.slot}>"
        return name if self.span is None else f"{name}@{self.span}"

    def __str__(self) -> str:
        return self.name


class Edge(NamedTuple):
    """What one node writes, as one receiver reads it; `slot` is q, k or v when the receiver is a head.

    With a `span`, as it reads it at the positions of this span: keys and values where they are read from, queries where
    the head writes.
    """

    sender: Node
    receiver: Node
    slot: Slot | None = None
    span: str | None = None

    @property
    def name(self) -> str:
        """The field's name of the edge, such as `a5.h3->a9.h6<q>`, `m11->logits` or, with a span, `input->m0@S1`."""
        return f"{self.sender.name}->{self.target.name}"

    @property
    def target(self) -> Receiver:
        """The receiver with its slot and span."""
        return Receiver(self.receiver, self.slot, self.span)

    @property
    def at_every_span(self) -> Edge:
        """The edge without its span: the pair of sender and receiver that it is of."""
        return self._replace(span=None)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, name: str) -> Edge:
        """The edge of that name.

        Raises: BadName when the text is not of the form `a5.h3->a9.h6<q>` or `a5.h3->a9.h6<q>@S1`.
        """
        found = _EDGE.fullmatch(name)
        if found is None:
            raise BadName(f"no edge is called {name!r}; edges are written 'a5.h3->a9.h6<q>' or 'm11->logits'")
        slot: Slot | None = found["slot"]  # type: ignore[assignment]  # the pattern admits q, k and v only
        span = None if found["span"] is None else check_span(found["span"])
        edge = cls(Node.parse(found["sender"]), Node.parse(found["receiver"]), slot, span)
        if (edge.receiver.kind == "head") != (slot is not None):
            raise BadName(
                f"the edge {name!r} must say <q>, <k> or <v> exactly when it ends in a head; "
                "write for example 'a5.h3->a9.h6<q>' or 'a5.h3->m7'"
            )
        if edge.receiver.part and edge.receiver.kind != "mlp":
            raise BadName(
                f"the edge {name!r} ends in a part of what attention writes or of the residual stream, which read as a "
                "whole; end it in a head or in the residual stream"
            )
        if edge.receiver == LOGITS and span is not None:
            raise BadName(
                f"the edge {name!r} cannot have a span: the logits are read at the scored position only; "
                f"leave out '@{span}'"
            )
        return edge
