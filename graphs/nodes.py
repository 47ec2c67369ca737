"""Nodes and edges of the computational graph, and the names they go by on disk and between packages."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from acdc.graphs.errors import BadName

Kind = Literal["input", "head", "mlp", "logits"]
Slot = Literal["q", "k", "v"]
SLOTS: tuple[Slot, ...] = ("q", "k", "v")

_NUMBER = "0|[1-9][0-9]{0,8}"  # in one way only, so that no two names are one node's
_NODE = re.compile(
    rf"(?P<input>input)|(?P<logits>logits)|a(?P<layer>{_NUMBER})\.h(?P<head>{_NUMBER})|m(?P<mlp>{_NUMBER})"
)
_EDGE = re.compile(r"(?P<sender>[^-<>]+)->(?P<receiver>[^-<>]+)(?:<(?P<slot>[qkv])>)?")


class Node(NamedTuple):
    """A part of the model: the embedding, one attention head, one MLP, or the unembedding.

    `layer` and `head` are 0-based and -1 where they mean nothing.
    """

    kind: Kind
    layer: int = -1
    head: int = -1

    @property
    def name(self) -> str:
        """The field's name of the node: `input`, `a5.h3`, `m7` or `logits`."""
        match self.kind:
            case "head":
                return f"a{self.layer}.h{self.head}"
            case "mlp":
                return f"m{self.layer}"
            case _:
                return self.kind

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, name: str) -> Node:
        """The node of that name.

        Raises: BadName for anything but `input`, `a5.h3`, `m7` or `logits`.
        """
        found = _NODE.fullmatch(name)
        if found is None:
            raise BadName(f"no node is called {name!r}; nodes are written 'input', 'a5.h3', 'm7' or 'logits'")
        if found["input"]:
            return INPUT
        if found["logits"]:
            return LOGITS
        if found["mlp"]:
            return cls("mlp", int(found["mlp"]))
        return cls("head", int(found["layer"]), int(found["head"]))


INPUT = Node("input")
LOGITS = Node("logits")


class Receiver(NamedTuple):
    """An input that reads the residual stream: a head's query, key or value input, an MLP, or the logits."""

    node: Node
    slot: Slot | None = None

    @property
    def name(self) -> str:
        """The field's name of the receiver: `a5.h3<q>`, `m7` or `logits`."""
        return self.node.name if self.slot is None else f"{self.node.name}<{self.slot}>"

    def __str__(self) -> str:
        return self.name


class Edge(NamedTuple):
    """What one node writes, as one receiver reads it; `slot` is q, k or v when the receiver is a head."""

    sender: Node
    receiver: Node
    slot: Slot | None = None

    @property
    def name(self) -> str:
        """The field's name of the edge, such as `a5.h3->a9.h6<q>` or `m11->logits`."""
        return f"{self.sender.name}->{self.target.name}"

    @property
    def target(self) -> Receiver:
        """The receiver with its slot."""
        return Receiver(self.receiver, self.slot)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, name: str) -> Edge:
        """The edge of that name.

        Raises: BadName when the text is not of the form `a5.h3->a9.h6<q>`.
        """
        found = _EDGE.fullmatch(name)
        if found is None:
            raise BadName(f"no edge is called {name!r}; edges are written 'a5.h3->a9.h6<q>' or 'm11->logits'")
        slot: Slot | None = found["slot"]  # type: ignore[assignment]  # the pattern admits q, k and v only
        edge = cls(Node.parse(found["sender"]), Node.parse(found["receiver"]), slot)
        if (edge.receiver.kind == "head") != (slot is not None):
            raise BadName(
                f"the edge {name!r} must say <q>, <k> or <v> exactly when it ends in a head; "
                "write for example 'a5.h3->a9.h6<q>' or 'a5.h3->m7'"
            )
        return edge
