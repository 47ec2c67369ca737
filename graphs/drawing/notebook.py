"""The picture of a circuit that a notebook shows in place of its name."""

from __future__ import annotations

from collections.abc import Mapping

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.graphviz_process import drawn
from acdc.graphs.drawing.render import dot
from acdc.graphs.errors import RenderError

SHOWN = 100
"""How many edges are drawn at most: more take long, and cannot be told apart."""


def picture(circuit: Circuit) -> str | None:
    """The circuit's strongest edges as SVG; None for a circuit of no edges, and where nothing here can draw."""
    if not circuit.edges:
        return None
    shown = circuit.strongest(SHOWN)
    part = [f"the {len(shown):,} strongest of {len(circuit):,} edges"] if len(shown) < len(circuit) else []
    try:
        svg = drawn(dot(shown, title=": ".join([*_names(circuit), *part]) or None), "svg").decode()
    except RenderError:
        return None  # the notebook then shows the circuit's own short description
    return svg[svg.index("<svg") :]  # as it can stand in HTML too


def _names(circuit: Circuit) -> list[str]:
    """Behaviour and model in a few words, as far as the circuit's record names them."""
    said = [circuit.provenance.get(key) for key in ("task", "model")]
    names = [str(part["name"]) for part in said if isinstance(part, Mapping) and "name" in part]
    return [" on ".join(names)] if names else []
