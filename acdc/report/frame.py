"""The page of a run or a circuit in a notebook: in a frame that can neither ask for anything nor reach the notebook."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.report.page.run_folder import RunFolder
from acdc.report.page.writing import page_of
from acdc.report.runs.listing import CIRCUIT, PAGE

if TYPE_CHECKING:
    from acdc.discovery.discover import Result


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


def page(of: str | Path | Circuit | Result, height: int = 900) -> PageFrame:
    """The page of a run, for a notebook: of its directory or a page's own file, or of a result or circuit in memory.

    Where a run's directory has no page, it is made of what is there. The page of a circuit in memory has what its
    record says; other sizes, prompts and attacks are a run's.

    Raises: BadSetting where there is no page; BadCircuitFile, BadRunFile where a run's files are damaged.
    """
    if not isinstance(of, (str, Path)):
        circuit = of if isinstance(of, Circuit) else of.circuit
        return PageFrame(page_of(RunFolder.in_memory(circuit)), height)
    file = Path(of) / PAGE if Path(of).is_dir() else Path(of)
    if not file.exists() and file.with_name(CIRCUIT).is_file():
        return PageFrame(page_of(RunFolder.read(file.with_name(CIRCUIT))), height)
    try:
        return PageFrame(file.read_text("utf-8"), height)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadSetting(f"no page can be shown from {file}: {why}; `acdc report` makes the page of a run") from error
