"""The forms that a circuit is written in: one table, from which help, the choice by ending and what is lost derive."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acdc.errors import BadSetting
from acdc.graphs import mib
from acdc.graphs.circuit import Circuit
from acdc.graphs.files import write_atomically

if TYPE_CHECKING:
    from acdc.report.neuronpedia import ExamplePrompt


@dataclass(frozen=True)
class ExportSubject:
    """A circuit, its title, and for forms that show an example prompt how that is come by."""

    circuit: Circuit
    title: str
    example: Callable[[], ExamplePrompt] | None = None


@dataclass(frozen=True)
class ExportForm:
    """A form: the ending of its files, what it is, and what it keeps, where that is not all that circuit.json says."""

    ending: str
    about: str
    write: Callable[[ExportSubject, Path], None]
    keeps: str = ""
    drawn: bool = False


def _drawn(subject: ExportSubject, file: Path) -> None:
    from acdc.graphs.drawing.render import render

    render(subject.circuit, file, title=subject.title)


def _own(subject: ExportSubject, file: Path) -> None:
    subject.circuit.save(file)


def _graphml(subject: ExportSubject, file: Path) -> None:
    write_atomically(file, subject.circuit.to_graphml().encode())


def _mib(subject: ExportSubject, file: Path) -> None:
    mib.save(subject.circuit, file)


def _neuronpedia(subject: ExportSubject, file: Path) -> None:
    from acdc.report.neuronpedia import graph_json

    assert subject.example is not None, "whoever writes this form must say how to get a prompt"
    data = graph_json(subject.circuit, subject.example(), subject.title)
    write_atomically(file, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())


_SCORES = "edges and scores, 0 where there is none, and frequencies"

FORMS = {
    "svg": ExportForm(".svg", "a picture for the web", _drawn, drawn=True),
    "png": ExportForm(".png", "a picture in pixels", _drawn, drawn=True),
    "pdf": ExportForm(".pdf", "a picture for papers", _drawn, drawn=True),
    "dot": ExportForm(".dot", "a picture as Graphviz reads it", _drawn, "a drawing of edges and scores", drawn=True),
    "circuit": ExportForm(".json", "circuit.json, from any form that is read", _own),
    "graphml": ExportForm(".graphml", "for Gephi and networkx; can be read again", _graphml),
    "mib": ExportForm(".json", "MIB's importance scores; can be read again", _mib, _SCORES),
    "mib-matrix": ExportForm(".safetensors", "MIB's matrix of scores; can be read again", _mib, _SCORES),
    "neuronpedia": ExportForm(".json", "Neuronpedia's attribution graph of one prompt", _neuronpedia),
}
"""By the name that `--as` takes."""

DRAWN = tuple(form.ending for form in FORMS.values() if form.drawn)
"""The endings of pictures."""


def form_of(file: Path, name: str | None) -> str:
    """The name of the form for a file: the one given, or the only one of files of its ending.

    Raises: BadSetting when there is none, several, or another for that ending.
    """
    ending = file.suffix.lower()
    if name is not None and name not in FORMS:
        raise BadSetting(f"no form is called {name!r}; wanted one of {', '.join(FORMS)}")
    fitting = [each for each, form in FORMS.items() if form.ending == ending]
    if not fitting:
        endings = ", ".join(dict.fromkeys(form.ending for form in FORMS.values()))
        raise BadSetting(
            f"nothing can be written to {file}: got the ending {ending!r}, wanted one of {endings}; rename the file"
        )
    if name is None and len(fitting) > 1:
        raise BadSetting(f"files that end in {ending} have several forms; say which with --as: {', '.join(fitting)}")
    chosen = name or fitting[0]
    if chosen not in fitting:
        wanted = FORMS[chosen].ending
        raise BadSetting(f"{file} ends in {ending}, but files of the form {chosen} in {wanted}; rename the file")
    return chosen


def losses(file: Path, name: str) -> tuple[str, ...]:
    """What a circuit's file in another form does not say that circuit.json does; nothing for a picture."""
    if not (keeps := FORMS[name].keeps):
        return ()
    return (
        f"{file} holds {keeps}; model, task, prompts, metric, ablation and what was measured are in circuit.json only",
    )
