"""A circuit's nodes and edges as a networkx graph, and that as GraphML, from which the circuit can be read again.

Every attribute of the graph is an entry of circuit.json as JSON text (`ablation`, `model`, `graph` with the frozen
scale, ...), so that GraphML keeps all that circuit.json does; edges have the attributes `slot`, `score`, `frequency`
and, in a circuit by position, `span`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from acdc.graphs import strict_json
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.nodes import Edge, Node

if TYPE_CHECKING:
    import networkx

GRAPHML = ".graphml"
"""The ending of files that hold GraphML."""


def multigraph(
    nodes: Iterable[Node], edges: Iterable[Mapping[str, Any]], record: Mapping[str, Any]
) -> networkx.MultiDiGraph[str]:
    """Nodes by name and the rows of circuit.json for edges, in their order; `record` is what else circuit.json says."""
    import networkx

    said = {key: json.dumps(value, allow_nan=False) for key, value in record.items()}
    graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    graph.graph.update(said)
    graph.add_nodes_from((node.name, {"kind": node.kind, "layer": node.layer}) for node in nodes)
    for row in edges:
        edge = Edge.parse(row["edge"])
        known = {name: row[name] for name in ("score", "frequency") if row.get(name) is not None}
        known |= {"span": edge.span} if edge.span else {}
        graph.add_edge(edge.sender.name, edge.receiver.name, edge.name, slot=edge.slot or "", **known)
    return graph


def graphml(graph: networkx.MultiDiGraph[str]) -> str:
    """The graph as GraphML text."""
    import networkx

    return "\n".join(networkx.generate_graphml(graph))


def of_graphml(text: str, where: str) -> dict[str, Any]:
    """The data of circuit.json that GraphML of ours says.

    Raises: BadCircuitFile when it is no GraphML, or does not say what circuit.json would.
    """
    import networkx

    try:
        graph: Any = networkx.parse_graphml(text, force_multigraph=True)
        record = {key: strict_json.loads(value) for key, value in graph.graph.items() if isinstance(value, str)}
        if "graph" not in record:
            raise ValueError("it does not say of which model's graph it is")
        edges = [
            {"edge": key, "score": None, **{name: data[name] for name in ("score", "frequency") if name in data}}
            for *_, key, data in graph.edges(keys=True, data=True)
        ]
    except (ParseError, networkx.NetworkXError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCircuitFile(
            f"{where} is no GraphML that holds a whole circuit: {error}; give one that `acdc export` wrote and no "
            "other program changed, or the circuit.json that it was made from"
        ) from error
    return {**record, "edges": edges}
