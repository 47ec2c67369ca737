"""A circuit as a picture: DOT text first, then SVG, PNG or PDF drawn from that text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import graphviz

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.by_position import Box, SpanColumns
from acdc.graphs.drawing.graphviz_process import Form, drawn
from acdc.graphs.drawing.legend import FAINT, INK, LINE, TINTS, frequency_rows, heading, line_row, plain, score_rows
from acdc.graphs.drawing.placement import Row, columns, readers, rows
from acdc.graphs.drawing.strokes import Side, of_side, repeated, scored, strongest_score
from acdc.graphs.errors import RenderError
from acdc.graphs.feature_names import names_in, with_names
from acdc.graphs.files import write_atomically
from acdc.graphs.nodes import SLOTS, Edge, Node, Slot
from acdc.graphs.roles import UNLABELLED

_FORMS: dict[str, Form] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}

# Edges are led around the nodes in their way where there are up to so many pairs of an edge and a node: that takes
# about two seconds then, and 24 for 500 edges of SmolLM2. A denser picture reads no better for it; edges are straight.
_LED_AROUND = 15_000
_WIDE = 88.0
"""Between the middles of two nodes next to each other, in points."""
_LETTERS = 15
"""So many of a feature's name find room in a line of its box."""


def dot(circuit: Circuit, *, title: str | None = None) -> str:
    """The circuit as DOT text, the same text for the same circuit on every machine.

    Layers go up from `input` to `logits`. A head shows which of its q, k and v inputs are fed, and each edge ends in
    the one it feeds. Width and depth of colour grow with the square root of |score| over the largest in the circuit;
    blue is a positive score, dashed vermilion a negative one, grey no score; the legend says whether they are measured.
    Where it is known that repeated discoveries did not always find an edge, a number beside it says how often, and it
    is dotted if that is less than half of the time. Where edges are by position, columns are spans
    (`graphs.drawing.by_position`).
    """
    strongest, edges, names = strongest_score(circuit), len(circuit), names_in(circuit.provenance)

    def line(edge: Edge) -> dict[str, str]:
        score, often = circuit.scores.get(edge), circuit.frequencies.get(edge)
        details = [f"score {score:+.4g}"] if score is not None else []
        details += [f"found again {often:.0%}"] if often is not None else []
        named = graphviz.escape(with_names(edge.name, names))
        tooltip = f"{named} ({', '.join(details)})" if details else named
        look = scored(score, strongest, edges)
        return {**look, **repeated(often, look, edges), "tooltip": tooltip}

    return _picture(circuit, line, [*score_rows(circuit), *frequency_rows(circuit)], title)


def difference_dot(a: Circuit, b: Circuit, names: tuple[str, str], *, title: str | None = None) -> str:
    """Two circuits of one graph as DOT text: dashed vermilion only in `a`, wide blue only in `b`, thin grey in both.

    The legend leaves out what there is none of.

    Raises: DifferentGraphs.
    """
    both, either = a & b, a | b

    def line(edge: Edge) -> dict[str, str]:
        side: Side = "both" if edge in both else "first" if edge in a else "second"
        where = {"first": f"only in {names[0]}", "second": f"only in {names[1]}", "both": "in both"}[side]
        return {**of_side(side, len(either)), "tooltip": f"{edge.name} ({where})"}

    counts: dict[Side, tuple[int, str]] = {
        "first": (len(a - b), f"only in {names[0]}"),
        "second": (len(b - a), f"only in {names[1]}"),
        "both": (len(both), "in both"),
    }
    legend = [
        line_row(of_side(side, len(either)), f"{count:,} {'edge' if count == 1 else 'edges'} {where}")
        for side, (count, where) in counts.items()
        if count
    ]
    return _picture(either, line, legend, title)


def _picture(circuit: Circuit, line: Callable[[Edge], dict[str, str]], legend: Sequence[str], title: str | None) -> str:
    """The circuit with these lines, below a heading with this legend of them."""
    edges = circuit.ordered()
    picture = graphviz.Digraph(
        "circuit",
        graph_attr={
            # Every node is pinned, so this engine only leads the edges; any Graphviz program honours the attribute.
            "layout": "neato",
            "splines": "true" if len(edges) * len(circuit.nodes()) <= _LED_AROUND else "line",
            "sep": "+4",
            "esep": "+2",
            "label": _html(heading(circuit, title, legend)),
            "labelloc": "t",
            "fontname": "Helvetica",
            "bgcolor": "white",
            "pad": "0.3",
            "outputorder": "edgesfirst",
            "tooltip": graphviz.escape(plain(title or "circuit")),
        },
        node_attr={"fontname": "Helvetica", "fontsize": "12", "fontcolor": INK, "color": LINE},
        edge_attr={"arrowsize": "0.6"},
    )
    if circuit.graph.spans:
        _add_boxes(picture, circuit, line)
        return str(picture.source)
    _add_nodes(picture, circuit)
    _join_parts(picture, circuit)
    for edge in edges:
        picture.edge(edge.sender.name, _port(edge.receiver.name, edge), **line(edge))
    return str(picture.source)


def render(circuit: Circuit, path: Path | str, *, title: str | None = None) -> None:
    """Draw the circuit into a .dot, .svg, .png or .pdf file, whole or not at all.

    `graphs.drawing.graphviz_process` says which Graphviz draws it; a .dot file needs none.

    Raises: RenderError when the suffix is none of these, no engine can draw the picture, or the file cannot be written.
    """
    _draw(Path(path), lambda: dot(circuit, title=title))


def render_difference(
    a: Circuit, b: Circuit, path: Path | str, *, names: tuple[str, str], title: str | None = None
) -> None:
    """Draw two circuits over each other into a .dot, .svg, .png or .pdf file, whole or not at all.

    Raises: DifferentGraphs; RenderError as `render`.
    """
    _draw(Path(path), lambda: difference_dot(a, b, names, title=title))


def _draw(path: Path, text_of: Callable[[], str]) -> None:
    suffix = path.suffix.lower()
    if suffix != ".dot" and suffix not in _FORMS:
        raise RenderError(
            f"a circuit cannot be drawn into {path}: got the suffix {path.suffix!r}, wanted one of "
            f"{', '.join(('.dot', *_FORMS))}; rename the file"
        )
    text = text_of()
    content = text.encode() if suffix == ".dot" else drawn(text, _FORMS[suffix])
    try:
        write_atomically(path, content)
    except OSError as error:
        raise RenderError(
            f"the picture cannot be written to {path}: {error.strerror}; name a file in a directory you can write to"
        ) from error


# Nodes


def _add_nodes(picture: graphviz.Digraph, circuit: Circuit) -> None:
    """Pin every node in its row."""
    fed: dict[Node, set[Slot]] = {}
    for edge in circuit.edges:
        if edge.slot is not None:
            fed.setdefault(edge.receiver, set()).add(edge.slot)
    across = columns(circuit)
    left, high = min(across.values(), default=0.0), _row_height(circuit)
    for level, row in enumerate(rows(circuit)):
        _label_row(picture, row, left, level * high)
        for node in row.nodes:
            look = _shape(node, fed.get(node, set()), _role(circuit, node))
            picture.node(node.name, **look, **_pin(across[node] * _WIDE, level * high))


def _join_parts(picture: graphviz.Digraph, circuit: Circuit) -> None:
    """Dotted lines from a node to the parts that it is split into, where the circuit has both.

    From every head to the parts of what the heads of its layer write.
    """
    nodes = circuit.nodes()
    for node in nodes:
        for reader in readers(nodes, node):
            picture.edge(reader.name, node.name, style="dotted", color=FAINT, arrowhead="none")


def _add_boxes(picture: graphviz.Digraph, circuit: Circuit, line: Callable[[Edge], dict[str, str]]) -> None:
    """Pin every node in the columns of the spans at which it is read, and draw the edges between them."""
    places, high = SpanColumns.of(circuit), _row_height(circuit)
    fed: dict[Box, set[Slot]] = {}
    for drawn_edge in places.lines:
        if drawn_edge.edge.slot is not None:
            fed.setdefault(drawn_edge.end, set()).add(drawn_edge.edge.slot)
    left = min(places.across.values(), default=0.0)
    for level, row in enumerate(places.rows):
        _label_row(picture, row, left, level * high)
        for box, across in places.across.items():
            if box.node in row.nodes:
                look = _shape(box.node, fed.get(box, set()), _role(circuit, box.node))
                picture.node(box.name, **look, **_pin(across * _WIDE, level * high))
    for span, middle in places.middles.items():
        look = {"label": span, "shape": "plaintext", "fontsize": "11", "fontcolor": INK}
        picture.node(f"span {span}", **look, **_pin(middle * _WIDE, -36))
    for edge, start, end in places.lines:
        picture.edge(start.name, _port(end.name, edge), **line(edge))


def _row_height(circuit: Circuit) -> float:
    """More edges need more room between rows, where they can be told apart by their slope."""
    return 80.0 if len(circuit) <= 100 else 108.0


def _label_row(picture: graphviz.Digraph, row: Row, left: float, y: float) -> None:
    """A row's label, in a column of its own at the left."""
    if row.label:
        pin = _pin(left * _WIDE - 96, y)
        picture.node(row.label, row.label, shape="plaintext", fontcolor=FAINT, fontsize="10", **pin)


def _role(circuit: Circuit, node: Node) -> str:
    """What a node's box says of its role; of a feature, the name that a user gave it."""
    if node.part:
        return names_in(circuit.provenance).get(node.name, "")
    role = circuit.roles.get(node)
    return role.role if role is not None and role.role != UNLABELLED else ""


def _port(box: str, edge: Edge) -> str:
    """Where an edge ends in a box."""
    return box if edge.slot is None else f"{box}:{edge.slot}:s"


def _pin(x: float, y: float) -> dict[str, str]:
    """A place on the page, from points to the inches that the `neato` engine reads."""
    return {"pos": f"{x / 72 + 0.0:.3f},{y / 72 + 0.0:.3f}!"}


def _shape(node: Node, fed: set[Slot], role: str) -> dict[str, str]:
    match node.kind:
        case "input" | "logits":
            look = {"shape": "box", "style": "filled", "fillcolor": INK, "color": INK, "fontcolor": "white"}
            return {"label": node.name, **look, "height": "0.32"}
        case "attention" | "resid_mid" | "mlp" | "resid_post":
            look = {"shape": "hexagon", "style": "filled", "fillcolor": "#DFE5EA", "fixedsize": "true"}
            if not role:
                return {"label": node.name, **look, "width": "1.1" if node.part else "0.8", "height": "0.4"}
            lines = textwrap.wrap(role, _LETTERS, max_lines=2, placeholder="\N{HORIZONTAL ELLIPSIS}")
            tooltip = graphviz.escape(f'{node.name} "{role}"')
            label = _html(node.name + "".join(map(_below, lines)))
            return {"label": label, **look, "width": "1.2", "height": "0.55", "tooltip": tooltip}
        case "head":
            return {"label": _html(_head(node, fed, role)), "shape": "plain"}


def _head(node: Node, fed: set[Slot], role: str) -> str:
    """A head's box: its name, with its role where it has one, over one cell per input that the circuit feeds."""
    cells = "".join(
        f'<td port="{slot}" bgcolor="{TINTS[slot]}" width="20"><font point-size="9">{slot}</font></td>'
        for slot in SLOTS
        if slot in fed
    )
    inputs = f"<tr>{cells}</tr>" if cells else ""
    return (
        '<table border="0" cellborder="1" cellspacing="0" cellpadding="3" bgcolor="white">'
        f'<tr><td colspan="{max(len(fed), 1)}" width="60">{node.name}{_below(role)}</td></tr>{inputs}</table>'
    )


def _below(words: str) -> str:
    """A small line below a node's name."""
    return f'<br/><font point-size="8">{escape(words)}</font>' if words else ""


def _html(markup: str) -> str:
    """Mark as an HTML-like label, in the angle brackets of the DOT language."""
    return f"<{markup}>"
