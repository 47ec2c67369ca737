"""Edges by pattern: `a9.h9->a10.*<q>@S1` for some of them, `a9.h9` for a node with whatever else is listed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadName, NotInGraph
from acdc.graphs.nodes import INPUT, LOGITS, Edge, Node

_NODE = r"input|logits|a(\d+|\*)\.(h(\d+|\*)|\*)|a\*|m(\d+|\*)|\*"
_NODES = re.compile(_NODE)
_EDGES = re.compile(rf"(?:{_NODE})->(?:{_NODE})(?:<[qkv*]>)?(?:@[A-Za-z0-9_.+*-]+)?")


def expand(graph: ComputationalGraph, names: Iterable[str]) -> frozenset[Edge]:
    """The edges that these names stand for.

    An edge's name may have a `*` for a layer, a head, a slot or a whole node; a head that is read without `<q>`, `<k>`
    or `<v>` is read by all three. Where edges are by position, one without a span (`@S1`) stands for all spans. A
    node's name, which may have them too, stands for every edge between it and the
    other nodes listed, `input` and `logits` always being among them.

    Raises: BadName for what is neither; NotInGraph for what stands for nothing in this graph.
    """
    edges: set[Edge] = set()
    nodes: set[Node] = set()
    for name in names:
        check_form(name)
        if "->" in name:
            edges |= _edges(graph, name)
        else:
            nodes |= _nodes(graph, name)
    if nodes:
        joined = nodes | {INPUT, LOGITS}
        edges |= {edge for edge in graph.edges() if edge.sender in joined and edge.receiver in joined}
    return frozenset(edges)


def check_form(name: str) -> None:
    """Refuse what can be neither an edge's nor a node's name in any graph.

    Raises: BadName.
    """
    if "->" in name and not _EDGES.fullmatch(name):
        raise BadName(
            f"no edge is called {name!r}; edges are written 'a5.h3->a9.h6<q>' or 'm11->logits', with * for any"
        )
    if "->" not in name and not _NODES.fullmatch(name):
        raise BadName(f"no node is called {name!r}; nodes are written 'a5.h3' or 'm7', with * for any")


def _edges(graph: ComputationalGraph, name: str) -> set[Edge]:
    sender, _, receiver = name.partition("->")
    receiver, _, span = receiver.partition("@")
    if "<" in receiver and "*" not in name:
        Edge.parse(name)  # refuses a slot of what is no head
    into = _regex(receiver) + ("" if "<" in receiver else "(<[qkv]>)?")
    at = re.escape(f"@{span}").replace(r"\*", ".*") if span else "(@.*)?"
    writes, reads = re.compile(_regex(sender)), re.compile(into + at)
    senders = [node for node in graph.senders if writes.fullmatch(node.name)]
    receivers = [index for index in graph.receivers if reads.fullmatch(index.name)]
    found = {edge for node in senders for index in receivers if (edge := Edge(node, *index)) in graph.edge_indices}
    if not found:
        raise NotInGraph(
            f"{name!r} is no edge of this model: it has {graph.describe()}, counted from 0, and a receiver reads only "
            "what was written before it; correct the name"
        )
    return found


def _nodes(graph: ComputationalGraph, name: str) -> set[Node]:
    pattern = re.compile(_regex(name))
    found = {node for node in (*graph.senders, LOGITS) if pattern.fullmatch(node.name)}
    if not found:
        raise NotInGraph(
            f"{name!r} is no node of this model: it has {graph.describe()}, counted from 0; correct the name"
        )
    return found


def _regex(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", r"[^<>-]*")
