"""A circuit's nodes and edges as a networkx graph, and that as GraphML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from acdc.graphs.nodes import Edge, Node

if TYPE_CHECKING:
    import networkx


def multigraph(
    nodes: Iterable[Node], edges: Iterable[Edge], scores: Mapping[Edge, float], frequencies: Mapping[Edge, float]
) -> networkx.MultiDiGraph[str]:
    """Nodes and edges by name, in their order, each edge with its slot and, where known, score and frequency."""
    import networkx

    graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    graph.add_nodes_from((node.name, {"kind": node.kind, "layer": node.layer}) for node in nodes)
    for edge in edges:
        known = {"score": scores[edge]} if edge in scores else {}
        known |= {"frequency": frequencies[edge]} if edge in frequencies else {}
        graph.add_edge(edge.sender.name, edge.receiver.name, edge.name, slot=edge.slot or "", **known)
    return graph


def graphml(graph: networkx.MultiDiGraph[str]) -> str:
    """The graph as GraphML text."""
    import networkx

    return "\n".join(networkx.generate_graphml(graph))
