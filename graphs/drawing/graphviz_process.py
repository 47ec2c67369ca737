"""Graphviz in a process of its own: DOT text in, the bytes of a picture out.

The Graphviz that pygraphviz's wheels bundle comes first, so that a circuit looks the same on every machine. A system
`dot` is the better choice, and used, where pygraphviz is not installed or cannot draw: a wheel that does not load, a
build without PDF, a crash. A process of its own, because Graphviz and fontconfig write warnings to the standard error
of the process they run in and a fault in their C code ends it, and neither may happen to whoever asked for a picture.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from typing import Literal, NamedTuple

from acdc.graphs.errors import RenderError

Form = Literal["svg", "png", "pdf"]

_TIME_LIMIT_SECONDS = 600.0

# Twice the pixels of a plain screen, so that circuits print well.
_PNG_DPI = "144"

# Reads with the caller's own sys.path, so that it finds the caller's own pygraphviz.
_BUNDLED = """
import json, sys
form, dpi, sys.path[:] = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
if form == "png":
    graph.graph_attr["dpi"] = dpi
sys.stdout.buffer.write(graph.draw(format=form, prog=graph.graph_attr["layout"] or "dot"))
"""


class Engine(NamedTuple):
    """A command that reads DOT on its standard input and writes a picture to its standard output."""

    name: str
    command: tuple[str, ...]


def drawn(text: str, form: Form) -> bytes:
    """The picture of a DOT text, by the first engine that can draw it.

    Raises: RenderError when none can, saying why for each.
    """
    refusals = []
    for name, command in engines(form):
        try:
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_TIME_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            refusals.append(f"{name} took longer than {_TIME_LIMIT_SECONDS:.0f} s")
            continue
        except OSError as error:
            refusals.append(f"{name} did not start ({error.strerror})")
            continue
        if done.returncode == 0 and done.stdout:
            return done.stdout
        said = done.stderr.decode(errors="replace").strip().splitlines()
        refusals.append(f"{name} ended with status {done.returncode}" + (f", saying {said[-1]!r}" if said else ""))
    why = "; ".join(refusals) or "neither the Python package pygraphviz nor a program `dot` was found"
    raise RenderError(
        f"the circuit could not be drawn as {form}: {why}; run `pip install --force-reinstall pygraphviz`, "
        "or ask for a .dot file, which needs no Graphviz"
    )


def engines(form: Form) -> list[Engine]:
    """The engines on this machine, the preferred one first."""
    found = []
    if importlib.util.find_spec("pygraphviz") is not None:
        # -I: no file in the working directory may pass for a module before sys.path is set.
        code = (sys.executable, "-I", "-c", _BUNDLED, form, _PNG_DPI, json.dumps(sys.path))
        found.append(Engine("pygraphviz", code))
    if (system := shutil.which("dot")) is not None:
        found.append(Engine(system, (system, f"-T{form}", *([f"-Gdpi={_PNG_DPI}"] if form == "png" else []))))
    return found
