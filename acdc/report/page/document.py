"""One HTML file from a template, a stylesheet, modules, cytoscape.js and data: nothing in it asks for anything else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

_MODULES = (
    *("data", "state", "dom", "charts", "groups", "shown", "strokes", "layout", "lines", "graph", "examples", "panel"),
    *("judgement", "compare", "exports", "keys", "main"),
)
"""In the order in which they stand in the page: each uses only those before it."""
_IMPORT = re.compile(r"^import\s[^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|const|let|class)\b)", re.MULTILINE)


def document(data: Mapping[str, Any]) -> str:
    """The page that shows this data, which it holds as JSON.

    Its content security policy allows the very scripts and styles in it, by their hashes, and no request at all.
    """
    style, library, program = _text("style.css"), _text("vendor/cytoscape.min.js"), script()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(library)} {_hash(program)}",
            f"style-src {_hash(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_text("template.html"))
    return template.render(
        policy=policy,
        title=data["title"],
        # of our own making, with nothing in them that ends a script or a stylesheet
        style=Markup(style),
        library=Markup(library),
        program=Markup(program),
        data=Markup(embedded(data)),
    )


def embedded(data: Mapping[str, Any]) -> str:
    """Data as JSON that can stand inside a script element: no text in it ends that, or begins a comment."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def script() -> str:
    """All modules as one: a file opened from disk can load no other."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _text(f"modules/{name}.js"))) for name in _MODULES)


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
