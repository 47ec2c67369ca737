"""The page of a run in a notebook: in a frame that can neither ask for anything nor reach the notebook."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

from acdc.errors import BadSetting
from acdc.report.runs.listing import PAGE


@dataclass(frozen=True)
class PageFrame:
    """A page of HTML that a notebook shows in a frame of this height, in pixels."""

    html: str = field(repr=False)
    height: int = 900

    def _repr_html_(self) -> str:
        # Without allow-same-origin the page can touch nothing of the notebook's. The address is the page itself, and
        # not `srcdoc`, where a page cannot keep its state in the address's fragment.
        address = f"data:text/html;charset=utf-8;base64,{base64.b64encode(self.html.encode()).decode()}"
        looks = f'style="width: 100%; height: {self.height}px; border: 0" title="the page of a run"'
        return f'<iframe sandbox="allow-scripts allow-downloads" {looks} src="{address}"></iframe>'


def page(run: str | Path, height: int = 900) -> PageFrame:
    """The page of a run, for a notebook: of its directory, or a page's own file.

    Raises: BadSetting where no page has been made.
    """
    file = Path(run) / PAGE if Path(run).is_dir() else Path(run)
    try:
        return PageFrame(file.read_text("utf-8"), height)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadSetting(f"no page can be shown from {file}: {why}; `acdc report` makes the page of a run") from error
