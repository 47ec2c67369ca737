"""A circuit as a picture: DOT text first, then SVG, PNG or PDF drawn from that text."""

from __future__ import annotations

import math
import textwrap
from html import escape
from pathlib import Path

import graphviz

from graphs.circuit import Circuit, write_atomically
from graphs.drawing import Form, drawn
from graphs.errors import RenderError
from graphs.nodes import SLOTS, Node, Slot
from graphs.placement import columns, rows

_FORMS: dict[str, Form] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}

# Blue and vermilion stay apart under every common colour blindness, and negative edges are dashed besides, so that
# the sign also survives a grey print. Each pair runs from the weakest score to the strongest.
_POSITIVE = ("#8DB9DA", "#00406E")
_NEGATIVE = ("#F0B48C", "#A83C00")
_UNSCORED = "#7F8C8D"
_TINTS: dict[Slot, str] = {"q": "#DCD0F0", "k": "#CDEBD3", "v": "#FBE6A6"}
_SLOT_WORDS: dict[Slot, str] = {"q": "query", "k": "key", "v": "value"}
_INK, _FAINT, _LINE = "#22303C", "#75828D", "#5D6D7B"

# Up to this many edges are led around the nodes in their way, which takes seconds; the time grows with the square of
# their number, and a denser picture reads no better for it, so beyond they are drawn straight.
_LED_AROUND = 500


def dot(circuit: Circuit, *, title: str | None = None) -> str:
    """The circuit as DOT text, the same text for the same circuit on every machine.

    Layers go up from `input` to `logits`. A head shows which of its q, k and v inputs are fed, and each edge ends in
    the one it feeds. Width and depth of colour grow with the square root of |score| over the largest in the circuit;
    blue is a positive score (removing the edge hurts the behaviour), dashed vermilion a negative one, grey no score.
    """
    edges = circuit.ordered()
    picture = graphviz.Digraph(
        "circuit",
        graph_attr={
            # Every node is pinned, so this engine only leads the edges; any Graphviz program honours the attribute.
            "layout": "neato",
            "splines": "true" if len(edges) <= _LED_AROUND else "line",
            "sep": "+4",
            "esep": "+2",
            "label": _html(_heading(circuit, title)),
            "labelloc": "t",
            "fontname": "Helvetica",
            "bgcolor": "white",
            "pad": "0.3",
            "outputorder": "edgesfirst",
            "tooltip": graphviz.escape(_plain(title or "circuit")),
        },
        node_attr={"fontname": "Helvetica", "fontsize": "12", "fontcolor": _INK, "color": _LINE},
        edge_attr={"arrowsize": "0.6"},
    )
    _add_nodes(picture, circuit)
    strongest = _strongest(circuit)
    for edge in edges:
        port = edge.receiver.name if edge.slot is None else f"{edge.receiver.name}:{edge.slot}:s"
        score = circuit.scores.get(edge)
        words = edge.name if score is None else f"{edge.name} (score {score:+.4g})"
        picture.edge(edge.sender.name, port, **_line(score, strongest, len(edges)), tooltip=words)
    return str(picture.source)


def render(circuit: Circuit, path: Path | str, *, title: str | None = None) -> None:
    """Draw the circuit into a .dot, .svg, .png or .pdf file, whole or not at all.

    `graphs.drawing` says which Graphviz draws it; a .dot file needs none.

    Raises: RenderError when the suffix is none of these, no engine can draw the picture, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix != ".dot" and suffix not in _FORMS:
        raise RenderError(
            f"a circuit cannot be drawn into {path}: got the suffix {path.suffix!r}, wanted one of "
            f"{', '.join(('.dot', *_FORMS))}; rename the file"
        )
    text = dot(circuit, title=title)
    content = text.encode() if suffix == ".dot" else drawn(text, _FORMS[suffix])
    try:
        write_atomically(path, content)
    except OSError as error:
        raise RenderError(
            f"the picture cannot be written to {path}: {error.strerror}; name a file in a directory you can write to"
        ) from error


# Nodes


def _add_nodes(picture: graphviz.Digraph, circuit: Circuit) -> None:
    """Pin every node in its row, with the row's label in a column of its own at the left."""
    fed: dict[Node, set[Slot]] = {}
    for edge in circuit.edges:
        if edge.slot is not None:
            fed.setdefault(edge.receiver, set()).add(edge.slot)
    across = columns(circuit)
    left = min(across.values(), default=0.0)
    # More edges need more room between rows, where they can be told apart by their slope.
    wide, high = 88.0, 80.0 if len(circuit) <= 100 else 108.0
    for level, row in enumerate(rows(circuit)):
        if row.label:
            pin = _pin(left * wide - 96, level * high)
            picture.node(row.label, row.label, shape="plaintext", fontcolor=_FAINT, fontsize="10", **pin)
        for node in row.nodes:
            picture.node(node.name, **_shape(node, fed.get(node, set())), **_pin(across[node] * wide, level * high))


def _pin(x: float, y: float) -> dict[str, str]:
    """A place on the page, from points to the inches that the `neato` engine reads."""
    return {"pos": f"{x / 72 + 0.0:.3f},{y / 72 + 0.0:.3f}!"}


def _shape(node: Node, fed: set[Slot]) -> dict[str, str]:
    match node.kind:
        case "input" | "logits":
            look = {"shape": "box", "style": "filled", "fillcolor": _INK, "color": _INK, "fontcolor": "white"}
            return {"label": node.name, **look, "height": "0.32"}
        case "mlp":
            look = {"shape": "hexagon", "style": "filled", "fillcolor": "#DFE5EA", "fixedsize": "true"}
            return {"label": node.name, **look, "width": "0.8", "height": "0.4"}
        case "head":
            return {"label": _html(_head(node, fed)), "shape": "plain"}


def _head(node: Node, fed: set[Slot]) -> str:
    """A head's box: its name over one cell per input that the circuit feeds."""
    cells = "".join(
        f'<td port="{slot}" bgcolor="{_TINTS[slot]}" width="20"><font point-size="9">{slot}</font></td>'
        for slot in SLOTS
        if slot in fed
    )
    inputs = f"<tr>{cells}</tr>" if cells else ""
    return (
        '<table border="0" cellborder="1" cellspacing="0" cellpadding="3" bgcolor="white">'
        f'<tr><td colspan="{max(len(fed), 1)}" width="60">{node.name}</td></tr>{inputs}</table>'
    )


# Edges


def _strongest(circuit: Circuit) -> float:
    """The largest finite |score|, or 1 where there is none to compare with."""
    return max((abs(s) for s in circuit.scores.values() if math.isfinite(s)), default=0.0) or 1.0


def _line(score: float | None, strongest: float, edges: int) -> dict[str, str]:
    """The width, colour and style that show a score; lines are finer the more edges there are."""
    widest = max(1.2, min(4.5, 4.5 * (30 / max(edges, 1)) ** 0.25))
    if score is None or math.isnan(score):
        return {"color": _UNSCORED, "penwidth": f"{0.4 * widest:.2f}"}
    part = math.sqrt(min(abs(score) / strongest, 1.0))
    colour = _mix(*(_NEGATIVE if score < 0 else _POSITIVE), part)
    line = {"color": colour, "penwidth": f"{widest * (0.2 + 0.8 * part):.2f}"}
    return {**line, "style": "dashed"} if score < 0 else line


def _mix(weak: str, strong: str, part: float) -> str:
    """The colour `part` of the way from `weak` to `strong`."""
    channels = zip(bytes.fromhex(weak[1:]), bytes.fromhex(strong[1:]), strict=True)
    return "#" + "".join(f"{round(w + (s - w) * part):02X}" for w, s in channels)


# Title and legend: one table of seven columns, so that samples and words stand under one another


def _heading(circuit: Circuit, title: str | None) -> str:
    mlps = sum(node.kind == "mlp" for node in circuit.nodes())
    counts = [f"{len(circuit):,} of {circuit.graph.n_edges:,} edges", _count(len(circuit.heads()), "head")]
    if circuit.graph.has_mlp:
        counts.append(_count(mlps, "MLP"))
    lines = [_text(" · ".join(counts), size=11, colour=_LINE)]
    if title:
        wrapped = "<br/>".join(escape(line) for line in textwrap.wrap(_plain(title), 56))
        lines.insert(0, f'<font point-size="16" color="{_INK}"><b>{wrapped}</b></font>')
    body = [f'<td colspan="7">{line}</td>' for line in lines] + ['<td colspan="7" height="4"></td>']
    body += [*_score_legend(circuit), *_slot_legend(circuit), '<td colspan="7" height="12"></td>']
    table = "".join(f"<tr>{cells}</tr>" for cells in body)
    return f'<table border="0" cellborder="0" cellspacing="3" cellpadding="1">{table}</table>'


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _score_legend(circuit: Circuit) -> list[str]:
    """What widths and colours mean, only for those in the picture."""
    strongest = _strongest(circuit)
    scores = [circuit.scores.get(edge, math.nan) for edge in circuit.edges]
    legend = []
    if any(score >= 0 for score in scores):
        legend.append((1, "removing it hurts the behaviour"))
    if any(score < 0 for score in scores):
        legend.append((-1, "removing it helps the behaviour"))
    body = []
    for sign, words in legend:
        samples = [sign * strongest * part for part in (1 / 16, 1 / 4, 1.0)]
        cells = [_sample(score, strongest, len(scores)) + _words(_number(score)) for score in samples]
        body.append("".join(cells) + _words(words))
    if any(math.isnan(score) for score in scores):
        body.append(_sample(None, strongest, len(scores)) + _words("no score", span=6))
    return body


def _slot_legend(circuit: Circuit) -> list[str]:
    """What the cells under a head mean, when there are any."""
    if not any(edge.slot for edge in circuit.edges):
        return []
    cells = "".join(
        f'<td border="1" color="{_LINE}" bgcolor="{_TINTS[slot]}" fixedsize="true" width="24" height="15">'
        f"{_text(slot, size=9)}</td>{_words(_SLOT_WORDS[slot])}"
        for slot in SLOTS
    )
    return [cells + _words("input of a head that the edge feeds")]


def _sample(score: float | None, strongest: float, edges: int) -> str:
    """A short piece of line, made of table cells because labels hold no lines."""
    line = _line(score, strongest, edges)
    lengths, gap = ((7, 7, 7), 3) if "style" in line else ((27,), 0)
    height = max(1, round(float(line["penwidth"])))
    cells = "".join(
        f'<td fixedsize="true" width="{length}" height="{height}" bgcolor="{line["color"]}"></td>' for length in lengths
    )
    return f'<td><table border="0" cellborder="0" cellspacing="{gap}" cellpadding="0"><tr>{cells}</tr></table></td>'


def _words(words: str, *, span: int = 1) -> str:
    return f'<td align="left" colspan="{span}">{_text(words, size=10)}</td>'


def _text(words: str, *, size: int, colour: str = _INK) -> str:
    return f'<font point-size="{size}" color="{colour}">{escape(words)}</font>'


def _number(score: float) -> str:
    return f"{score:+.2g}".replace("-", "\N{MINUS SIGN}")


def _plain(title: str) -> str:
    """A title without the control characters that no picture format can hold."""
    return "".join(letter if letter.isprintable() else " " for letter in title)


def _html(markup: str) -> str:
    """Mark as an HTML-like label, in the angle brackets of the DOT language."""
    return f"<{markup}>"
