"""The page of a run written into its folder, after what it shows besides the folder's files has been measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
    from acdc.problem import Problem

PAGE = "report.html"


def write_page(circuit_file: Path, result: Result, problem: Problem | None) -> tuple[Path, ...]:
    """Write the page of a circuit that was just found, beside it; with a problem, what it shows is measured on that.

    Returns the files that were written. Raises: as `measure` and `RunFolder.read`; OSError.
    """
    made = []
    if problem is not None:
        made.append(measure(problem, result.circuit, result.joining, circuit_file.parent))
    page = circuit_file.parent / PAGE
    save_page(RunFolder.read(circuit_file), page)
    return (*made, page)


def measure(problem: Problem, circuit: Circuit, joining: Mapping[Edge, float | None], directory: Path) -> Path:
    """Measure what a page shows of a circuit and write it beside it; the file.

    Raises: UnmeasurableBehaviour, DifferentGraphs, NotFinite; OSError.
    """
    prompts = circuit.provenance.get("prompts")
    seed = prompts.get("seed") if isinstance(prompts, Mapping) else None
    Details.measure(problem, circuit, joining, seed if isinstance(seed, int) else 0).save(directory)
    return directory / details.NAME


def page_of(run: RunFolder) -> str:
    """The page of a run, as HTML."""
    return document(page_data(run))


def save_page(run: RunFolder, page: Path) -> None:
    """Write the page of a run, whole or not at all.

    Raises: OSError.
    """
    write_atomically(page, page_of(run).encode())


def save_comparison(a: RunFolder, b: RunFolder, measured: Difference | None, unmeasured: str, page: Path) -> None:
    """Write the page of two runs, whole or not at all; without a measurement, `unmeasured` says why.

    Raises: DifferentGraphs; OSError.
    """
    write_atomically(page, document(comparison_data(a, b, measured, unmeasured)).encode())
