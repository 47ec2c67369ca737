"""The page of a run written into its folder, after what it shows besides the folder's files has been measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.graphs.files import write_atomically
from acdc.report.page import details
from acdc.report.page.comparison_data import comparison_data
from acdc.report.page.data import page_data
from acdc.report.page.details import Details
from acdc.report.page.document import document
from acdc.report.page.run_folder import RunFolder

if TYPE_CHECKING:
    from acdc.discovery.discover import Result
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.nodes import Edge
    from acdc.judges.comparison import Difference
    from acdc.judges.distance import Watch
    from acdc.problem import Problem

PAGE = "report.html"
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def write_page(circuit_file: Path, result: Result, problem: Problem, watch: Watch | None = None) -> tuple[Path, ...]:
    """Write the page of a circuit that was just found, beside it, and what it shows, measured on that problem.

    Returns the files that were written. Raises: as `measure` and `RunFolder.read`; OSError.
    """
    made = measure(problem, result.circuit, result.joining, circuit_file.parent, watch)
    page = circuit_file.parent / PAGE
    save_page(RunFolder.read(circuit_file), page)
    return (made, page)


def measure(
    problem: Problem,
    circuit: Circuit,
    joining: Mapping[Edge, float | None],
    directory: Path,
    watch: Watch | None = None,
) -> Path:
    """Measure what a page shows of a circuit and write it beside it; the file. `watch` hears of every piece.

    Raises: UnmeasurableBehaviour, DifferentGraphs, NotFinite; OSError.
    """
    prompts = circuit.provenance.get("prompts")
    seed = prompts.get("seed") if isinstance(prompts, Mapping) else None
    Details.measure(problem, circuit, joining, seed if isinstance(seed, int) else 0, watch).save(directory)
    return directory / details.NAME


def page_of(run: RunFolder) -> str:
    """The page of a run, as HTML."""
    return document(page_data(run))


def save_page(run: RunFolder, page: Path) -> None:
    """Write the page of a run, whole or not at all.

    Raises: OSError.
    """
    write_atomically(page, page_of(run).encode())


def shown_in(page: Path) -> tuple[Mapping[str, Any], ...]:
    """Of which circuits a page is, with what each was measured; nothing where it is no page of ours.

    Raises: OSError.
    """
    held = _DATA.search(page.read_text("utf-8", "replace"))
    try:
        data = json.loads(held[1]) if held else None
    except ValueError:
        return ()
    said = data.get("of") if isinstance(data, dict) else None
    return tuple(said) if isinstance(said, list) else ()


def save_comparison(a: RunFolder, b: RunFolder, measured: Difference | None, unmeasured: str, page: Path) -> None:
    """Write the page of two runs, whole or not at all; without a measurement, `unmeasured` says why.

    Raises: DifferentGraphs; OSError.
    """
    write_atomically(page, document(comparison_data(a, b, measured, unmeasured)).encode())
