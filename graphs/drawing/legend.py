"""What stands above a picture: title, counts and legend, in one table, so that samples and words are aligned."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.strokes import RARE, ROOM, UNSCORED, scored, strongest_score
from acdc.graphs.nodes import SLOTS, Slot

INK, FAINT, LINE = "#22303C", "#75828D", "#5D6D7B"
TINTS: dict[Slot, str] = {"q": "#DCD0F0", "k": "#CDEBD3", "v": "#FBE6A6"}
_UNKNOWN = "positive score", "negative score"
_MEANINGS = {
    "effect": ("removing it hurts the behaviour", "removing it helps the behaviour"),
    "estimate": ("estimate: removing it hurts the behaviour", "estimate: removing it helps the behaviour"),
    "node": ("removing the lesser of its nodes hurts", "removing the lesser of its nodes helps"),
    "slot": ("removing its slot (or node) hurts", "removing its slot (or node) helps"),
}
"""What positive and negative scores mean, by the kind of score that the circuit's record names."""
_SLOT_WORDS: dict[Slot, str] = {"q": "query", "k": "key", "v": "value"}


def heading(circuit: Circuit, title: str | None, line_rows: Sequence[str]) -> str:
    """The title, the counts, and the rows of a legend about lines and then cells, as one table of seven columns."""
    mlps = len({node.whole for node in circuit.nodes() if node.kind == "mlp"})
    parts = sum(node.part != "" for node in circuit.nodes())
    counts = [f"{len(circuit):,} of {circuit.graph.n_edges:,} edges", _count(len(circuit.heads()), "head")]
    if circuit.graph.has_mlp:
        counts.append(_count(mlps, "MLP"))
    if parts:
        counts.append(_count(parts, "part"))
    lines = [_text(" · ".join(counts), size=11, colour=LINE)]
    if title:
        wrapped = "<br/>".join(escape(line) for line in textwrap.wrap(plain(title), 56))
        lines.insert(0, f'<font point-size="16" color="{INK}"><b>{wrapped}</b></font>')
    body = [f'<td colspan="7">{line}</td>' for line in lines] + ['<td colspan="7" height="4"></td>']
    body += [*line_rows, *_slot_rows(circuit), '<td colspan="7" height="12"></td>']
    table = "".join(f"<tr>{cells}</tr>" for cells in body)
    return f'<table border="0" cellborder="0" cellspacing="3" cellpadding="1">{table}</table>'


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def score_rows(circuit: Circuit) -> list[str]:
    """What widths and colours mean, only for those in the picture."""
    strongest = strongest_score(circuit)
    scores = [circuit.scores.get(edge, math.nan) for edge in circuit.edges]
    algorithm = circuit.provenance.get("algorithm")
    kind = algorithm.get("score_kind") if isinstance(algorithm, Mapping) else None
    positive, negative = _MEANINGS.get(str(kind), _UNKNOWN)
    legend = []
    if any(score >= 0 for score in scores):
        legend.append((1, positive))
    if any(score < 0 for score in scores):
        legend.append((-1, negative))
    body = []
    for sign, meaning in legend:
        samples = [sign * strongest * part for part in (1 / 16, 1 / 4, 1.0)]
        cells = [_sample(scored(score, strongest, len(scores))) + _words(_number(score)) for score in samples]
        body.append("".join(cells) + _words(meaning))
    if any(math.isnan(score) for score in scores):
        body.append(line_row(scored(None, strongest, len(scores)), "no score"))
    return body


def frequency_rows(circuit: Circuit) -> list[str]:
    """What the numbers beside lines and the dotted lines mean, when there are any."""
    numbered = len(circuit) <= ROOM and any(frequency < 1 for frequency in circuit.frequencies.values())
    rows = [_words("%") + _words("how often it was found again; no number: always", span=6)] if numbered else []
    if any(frequency < RARE for frequency in circuit.frequencies.values()):
        dotted = {"color": UNSCORED, "penwidth": "3", "style": "dotted"}
        rows.append(line_row(dotted, f"found again less than {RARE:.0%} of the time, in any colour"))
    return rows


def line_row(line: Mapping[str, str], meaning: str) -> str:
    """A line and what it means."""
    return _sample(line) + _words(meaning, span=6)


def _slot_rows(circuit: Circuit) -> list[str]:
    """What the cells under a head mean, when there are any."""
    if not any(edge.slot for edge in circuit.edges):
        return []
    cells = "".join(
        f'<td border="1" color="{LINE}" bgcolor="{TINTS[slot]}" fixedsize="true" width="24" height="15">'
        f"{_text(slot, size=9)}</td>{_words(_SLOT_WORDS[slot])}"
        for slot in SLOTS
    )
    return [cells + _words("input of a head that the edge feeds")]


def _sample(line: Mapping[str, str]) -> str:
    """A short piece of line, made of table cells because labels hold no lines."""
    lengths, gap = {"dashed": ((7, 7, 7), 3), "dotted": ((3,) * 5, 3)}.get(line.get("style", ""), ((27,), 0))
    height = max(1, round(float(line["penwidth"])))
    cells = "".join(
        f'<td fixedsize="true" width="{length}" height="{height}" bgcolor="{line["color"]}"></td>' for length in lengths
    )
    return f'<td><table border="0" cellborder="0" cellspacing="{gap}" cellpadding="0"><tr>{cells}</tr></table></td>'


def _words(words: str, *, span: int = 1) -> str:
    return f'<td align="left" colspan="{span}">{_text(words, size=10)}</td>'


def _text(words: str, *, size: int, colour: str = INK) -> str:
    return f'<font point-size="{size}" color="{colour}">{escape(words)}</font>'


def _number(score: float) -> str:
    return f"{score:+.2g}".replace("-", "\N{MINUS SIGN}")


def plain(title: str) -> str:
    """A title without the control characters that no picture format can hold."""
    return "".join(letter if letter.isprintable() else " " for letter in title)
