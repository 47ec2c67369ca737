"""`acdc report`: one page to look at a run, or at two side by side, in a browser."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from acdc.cli import named_file, run_page, terminal
from acdc.cli.options import Anyway, AsJson, Device, argument, circuit_file, flag, option
from acdc.errors import AcdcError, BadSetting, UnwritableOutput
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import GraphsError
from acdc.tasks.errors import TaskError

if TYPE_CHECKING:
    from acdc.report.page.run_folder import RunFolder


def report(
    runs: Annotated[list[Path], argument("RUN [RUN]", is_="A run's directory or circuit.json; two to compare them.")],
    out: Annotated[
        Path | None, option("--out", "-o", takes="FILE", is_="Where the page goes [RUN/report.html]")
    ] = None,
    no_measure: Annotated[bool, flag("--no-measure", is_="Only show what the folder holds; run no model")] = False,
    device: Device = "cpu",
    anyway: Anyway = False,
    json: AsJson = False,
) -> None:
    """Make one HTML page of a run, to look at in a browser.

    It shows the circuit at every size that was measured, and all that its folder holds: stability, attacks, claims. It
    needs no network and no server: open it from disk. What was never measured of sizes and prompts is measured first.
    A page of another circuit, or a file that is no page, is not written over.
    """
    if len(runs) > 2:
        raise BadSetting(f"a page shows one run or compares two: got {len(runs)}, wanted 1 or 2; drop some")
    files = [circuit_file(run) for run in runs]
    page = _place(files, out)
    if len(files) == 1:
        _of_one(files[0], page, measure=not no_measure, device=device, anyway=anyway)
    else:
        _of_two(files, page, measure=not no_measure, device=device, anyway=anyway)
    if json:
        terminal.write_json({"page": str(page)})
    else:
        terminal.results().print(f"Written: {page}", soft_wrap=True)


def _place(files: list[Path], out: Path | None) -> Path:
    """Where the page goes: over one of the same circuits, and never over anything else.

    Raises: BadSetting, UnwritableOutput; BadCircuitFile.
    """
    from acdc.judges.findings import Findings
    from acdc.report.page.data import subject_of

    of = tuple(subject_of(Findings.of(Circuit.load(file), str(file))) for file in files)
    if out is None and len(files) == 1:
        page = files[0].parent / run_page.PAGE
        free = _free(page, of) or len(_shown_in(page)) == 1  # of the circuit that was here before
    elif out is None:
        names = chain(["comparison.html"], (f"comparison-{number}.html" for number in count(2)))
        page = next(Path(name) for name in names if _free(Path(name), of))
        free = True
    else:
        page = out
        free = _free(page, of)
    named_file.check(page, (".html", ".htm"))
    if not free:
        raise UnwritableOutput(
            f"{page} exists and is not the page of {'this run' if len(files) == 1 else 'these runs'}; name another "
            "file with --out, or move this one away"
        )
    return page


def _free(page: Path, of: tuple[Any, ...]) -> bool:
    """Whether there is nothing, or a page of these very circuits."""
    return not page.exists() or (page.is_file() and _shown_in(page) == of)


def _shown_in(page: Path) -> tuple[Any, ...]:
    from acdc.report.page.writing import shown_in

    try:
        return shown_in(page)
    except OSError:  # what cannot be read is not ours to replace
        return ()


def _of_one(file: Path, page: Path, *, measure: bool, device: str, anyway: bool) -> None:
    from acdc.report.page.details import NAME
    from acdc.report.page.run_folder import RunFolder
    from acdc.report.page.writing import save_page

    run = RunFolder.read(file)
    if measure and NAME not in run.files:
        _measure(run, device, anyway)
        run = RunFolder.read(file)
    with named_file.writing(page):
        save_page(run, page)


def _measure(run: RunFolder, device: str, anyway: bool) -> None:
    """Measure what the page of a run lacks; where that cannot be, say why and go on without."""
    from acdc.cli.progress import watching
    from acdc.discovery import joining_file
    from acdc.judges.evaluation import judgement
    from acdc.report.page.writing import measure

    circuit, origin = run.findings.circuit, run.findings.origin
    try:
        setup = origin.setup().on(device)
        ordered = run.directory / joining_file.NAME
        joining = joining_file.read(ordered, circuit.graph) if ordered.exists() else {}
        with watching(quiet=False) as watch:
            watch.stage("loading the model")
            problem = judgement(circuit, setup=setup, anyway=anyway, tell=terminal.note)
            watch.stage("measuring other sizes, every prompt and single edges")
            measure(problem, circuit, joining, run.directory, watch.pruning)
    except (AcdcError, GraphsError, TaskError) as error:
        terminal.warn(f"the page shows only what is in the run's folder: {error}")


def _of_two(files: list[Path], page: Path, *, measure: bool, device: str, anyway: bool) -> None:
    """The page of two runs, with what each keeps on the prompts of both where that can be measured."""
    from acdc.cli.progress import watching
    from acdc.judges.comparison import compare
    from acdc.report.page.run_folder import RunFolder
    from acdc.report.page.writing import save_comparison

    runs = [RunFolder.read(file) for file in files]
    measured, unmeasured = None, "what each keeps on the prompts of both was not measured (--no-measure)"
    if measure:
        try:
            with watching(quiet=False) as watch:
                watch.stage("measuring both on the prompts of both")
                circuits = (run.findings.circuit for run in runs)
                measured = compare(
                    *circuits, device=device, anyway=anyway, tell=lambda words: watch.line(f"note: {words}")
                )
        except (AcdcError, GraphsError, TaskError) as error:
            unmeasured = f"what each keeps on the prompts of both could not be measured: {error}"
            terminal.warn(unmeasured)
    with named_file.writing(page):
        save_comparison(runs[0], runs[1], measured, unmeasured, page)
