"""`acdc test`: do circuit hypotheses hold?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acdc.cli import run_page, terminal
from acdc.cli.exits import Exit, report
from acdc.cli.options import Anyway, AsJson, argument, flag, option
from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import GraphsError

if TYPE_CHECKING:
    from acdc.hypotheses.session import ClaimOutcome


def hypotheses(
    path: Annotated[list[Path], argument("PATH...", is_="Hypothesis files (test_*.acdc.yaml), or folders of them.")],
    model: Annotated[
        str | None, option("--model", "-m", takes="NAME", is_="Try every hypothesis on this model [the file's]")
    ] = None,
    anyway: Anyway = False,
    update: Annotated[bool, flag("--update", is_="Record baselines for claims that have a tolerance")] = False,
    json: AsJson = False,
) -> None:
    """Test circuit hypotheses: every claim in every file, as `pytest` does.

    A file or a claim that cannot be tested is told of, and the others are tested nevertheless. In a run's directory
    what comes of the claims is left in claims.json, for its page.
    """
    from acdc.hypotheses.session import hypothesis_files, run

    if update and model is not None:
        raise BadSetting(
            "--update and --model were given together: baselines are those of a file's own model; leave one of them out"
        )
    worst, counts, rows = Exit.DONE, {"passed": 0, "failed": 0, "errors": 0}, []
    for outcome in run(hypothesis_files(path), model, update=update, anyway=anyway, tell=terminal.note):
        word, code = _tell(outcome, quiet=json)
        worst = max(worst, code)
        counts[word] += 1
        rows.append(_row(outcome))
    if len(path) == 1 and model is None and not anyway:
        _keep(path[0], {**counts, "claims": rows})
    if json:
        terminal.write_json({**counts, "claims": rows})
    else:
        terminal.results().print(
            ", ".join(
                f"{count} {'error' if (word, count) == ('errors', 1) else word}" for word, count in counts.items()
            )
        )
    if counts["failed"]:
        terminal.fail(f"{counts['failed']} of {counts['passed'] + counts['failed']} claims do not hold")
    raise typer.Exit(worst)


def _keep(run: Path, found: dict[str, Any]) -> None:
    """Leave what came of the claims in a run's directory; any other stays as it is."""
    if not (run / "circuit.json").is_file():
        return
    from acdc.attacks.file import circuit_hash

    try:
        of = {"hash": circuit_hash(Circuit.load(run / "circuit.json"))}
    except GraphsError as error:
        terminal.warn(f"{run / 'claims.json'} is not written: {error}")
        return
    run_page.keep(run, "claims.json", of, {"circuit": of, **found})


def _tell(outcome: ClaimOutcome, *, quiet: bool) -> tuple[str, Exit]:
    """Tell what came of a claim; the word for it, and the exit code that it means."""
    verdict = outcome.verdict
    if verdict is None and not isinstance(outcome.error, UnmeasurableBehaviour):
        assert outcome.error is not None
        return "errors", report(outcome.error)
    passed = verdict is not None and verdict.passed
    if not quiet:
        out = terminal.results()
        found = str(outcome.error) if verdict is None else f"{verdict.value}; {verdict.bound}"
        out.print(f"{'passed' if passed else 'FAILED'}  {outcome.name}: {found}", soft_wrap=True)
        if verdict is not None and not passed:
            out.print(verdict.message(), soft_wrap=True)
    return ("passed", Exit.DONE) if passed else ("failed", Exit.FAILED_CHECK)


def _row(outcome: ClaimOutcome) -> dict[str, Any]:
    row: dict[str, Any] = {"file": str(outcome.file)}
    if outcome.claim is not None:
        row |= {"claim": outcome.claim.name, "passed": False}
    if outcome.verdict is not None:
        row |= outcome.verdict.to_json()
    return row if outcome.error is None else {**row, "error": str(outcome.error)}
