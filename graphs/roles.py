"""What a node of a circuit does, as far as evidence shows it: its role, the numbers, and how it compares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acdc.graphs.nodes import Node

UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class NodeRole:
    """The role of a node, `unlabelled` where the evidence shows none; `percentile` is among all heads of the model.

    `evidence` has a number for each of its names.
    """

    role: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    percentile: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The role as plain JSON data."""
        return {"role": self.role, "evidence": dict(self.evidence), "percentile": self.percentile}


def to_json(roles: Mapping[Node, NodeRole]) -> dict[str, Any]:
    """The field `roles` of a circuit file: `{"a1.h0": {"role": ..., "evidence": {name: number}, "percentile": .9}}`."""
    return {node.name: role.to_json() for node, role in roles.items()}


def from_json(data: Mapping[str, Any]) -> dict[Node, NodeRole]:
    """The roles that `to_json` wrote.

    Raises: BadName, KeyError, TypeError, ValueError, AttributeError when it did not.
    """
    roles = {}
    for name, row in data.items():
        if not isinstance(row["role"], str):
            raise TypeError(f"the role of {name} is no text")
        percentile = row.get("percentile")
        evidence = {what: _number(number, name) for what, number in row.get("evidence", {}).items()}
        roles[Node.parse(name)] = NodeRole(
            row["role"], evidence, None if percentile is None else _number(percentile, name)
        )
    return roles


def _number(number: object, name: str) -> float:
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise ValueError(f"the evidence for the role of {name} is {number!r}, which is not a finite number")
    return float(number)
