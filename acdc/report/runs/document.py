"""The list of runs as an HTML page that asks for nothing: its own style and script, allowed by their hashes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import timezone
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from acdc.report.runs.listing import PAGE, RunEntry, RunList

STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --faint: #566473; --ground: #fff; --rule: #d5dce3; --link: #00508a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ecf1; --faint: #a3b1be; --ground: #11181f; --rule: #33404c; --link: #8fc9f7; }
}
body { margin: 0; font: 16px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: var(--ink); background: var(--ground); }
main { max-width: 75rem; margin: 0 auto; padding: 1rem 1.25rem; overflow-x: auto; }
h1, h2, li, code { overflow-wrap: anywhere; } td { overflow-wrap: break-word; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--faint); padding-bottom: .5rem; }
td { min-width: 5.5rem; } td:first-child { min-width: 9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--rule); }
td small, code, time { color: var(--faint); } td code { font-size: .8rem; } td small, time { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
a { color: var(--link); }
button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; text-align: inherit; }
button:focus-visible, a:focus-visible { outline: 3px solid #7a3fb0; outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\2191"; } th[aria-sort=descending] button::after { content: " \\2193"; }
@media (max-width: 44rem) {  /* a row of names to sort by, and below it each run as a block */
  table, caption, thead, tbody, td { display: block; } thead tr { display: flex; flex-wrap: wrap; gap: 0 1rem; }
  th, th.number { border: 0; padding: .2rem 0; } tbody tr { display: block; border-top: 1px solid var(--rule); padding: .5rem 0; }
  td, .number { border: 0; padding: .05rem 0; text-align: left; } td small, time { white-space: normal; }
  td + td::before { content: attr(data-name) ": "; color: var(--faint); }
}
"""  # noqa: E501  # a stylesheet
_SCRIPT = """
const heads = [...document.querySelectorAll("th")], body = document.querySelector("tbody");
const shown = (row, column) => {
  const { value, number } = row.cells[column].dataset;
  return number === undefined ? value : number === "" ? -Infinity : Number(number);
};
heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
  const numbers = body.rows[0].cells[column].dataset.number !== undefined;
  const before = head.getAttribute("aria-sort") ?? (numbers ? "ascending" : "descending");
  const order = before === "ascending" ? "descending" : "ascending", sign = order === "ascending" ? 1 : -1;
  const compared = (a, b) => typeof a === "string" ? a.localeCompare(b) : a === b ? 0 : a - b;
  const rows = [...body.rows].sort((a, b) => sign * compared(shown(a, column), shown(b, column)));
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  body.append(...rows);
}));
"""


def address(name: str) -> str:
    """Where the page of the run of this name is served."""
    return f"/run/{quote(name, errors='surrogateescape')}/{PAGE}"


def document(runs: RunList) -> tuple[str, str]:
    """The page, and the content security policy that it is served with."""
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        files(__package__).joinpath("runs.html").read_text("utf-8")
    )
    page = template.render(
        folder=str(runs.folder),
        rows=[_row(runs, entry) for entry in runs.entries],
        damaged=[(runs.name(directory), why) for directory, why in runs.damaged.items()],
        style=Markup(STYLE),
        script=Markup(_SCRIPT),
    )
    return page, policy(STYLE, _SCRIPT)


def policy(style: str, script: str = "") -> str:
    """The content security policy of a page with this style and this script, or none."""
    return "; ".join(
        (
            "default-src 'none'",
            *((f"script-src {_hash(script)}",) if script else ()),
            f"style-src {_hash(style)}",
            "img-src data:",  # the empty icon, without which browsers ask for one
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _row(runs: RunList, entry: RunEntry) -> Mapping[str, Any]:
    name, origin = runs.name(entry.directory), entry.origin
    return {
        "name": name,
        "address": address(name),
        "task": origin.task.name if origin.task else "",
        "model": origin.model.words if origin.model else "",
        "metric": origin.metric.words if origin.metric else "",
        "edges": entry.edges,
        "kept": entry.kept,
        "created": entry.created.astimezone(timezone.utc),
    }


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
