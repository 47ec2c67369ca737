"""`make bench`: one table of how long our work takes against a reference, each row a ratio within one run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

# must be in place before anything of Hugging Face is imported: what is measured comes from this machine only
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from acdc.graphs.files import write_atomically
from tests.benchmarks.rows import KINDS, QUICK, SUBJECTS, DifferentDecisions, Effort, Kind, Row, rows
from tests.benchmarks.subjects import NAMES, Subject, subject

TINY = ("periodic-2l", "planted-2l-tiny")


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for, show it and write it down; 1 if a check of decisions failed."""
    asked = _arguments(arguments)
    out: Path = asked.out
    out.parent.mkdir(parents=True, exist_ok=True)
    console = Console()
    disable_progress_bar()  # type: ignore[no-untyped-call]
    console.print(machine(asked.device), highlight=False)
    measured: list[Row] = []
    try:
        for row in measure(asked.rows, asked.models, asked.device, QUICK if asked.quick else Effort()):
            measured.append(row)
            said = row.row.replace("times", f"{row.ratio:.3g} times", 1)
            console.print(f"{row.model}: {said}" + f" ({row.note})" * bool(row.note), highlight=False)
            write(out, measured)  # each row at once, since some take minutes
    except DifferentDecisions as error:
        console.print(f"not the same circuit: {error}", style="bold red", highlight=False)
        return 1
    console.print(table(measured))
    console.print(f"written to {out}", highlight=False)
    return 0


def measure(kinds: list[Kind], models: list[str] | None, device: torch.device, effort: Effort) -> Iterator[Row]:
    """The rows of these kinds on these models (None: on those that each kind is meant for, tiny ones if `few`)."""
    wanted = {kind: tuple(models) if models else TINY if effort.few else SUBJECTS[kind] for kind in kinds}
    for name in dict.fromkeys(name for names in wanted.values() for name in names):
        loaded: Subject | None = subject(name, device, few=effort.few)
        if loaded is None:
            print(f"{name} is not installed and left out", file=sys.stderr)
            continue
        for kind in kinds:
            if name in wanted[kind]:
                yield from rows(kind, loaded, effort)


def machine(device: torch.device) -> str:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    gpu = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    return f"{gpu}{cpu}, {torch.get_num_threads()} threads of torch {torch.__version__}, float32"


def table(measured: list[Row]) -> Table:
    """The rows for people, those of the same kind under a heading."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("")
    for column in ("ratio", "seconds", "reference", "peak MB"):
        shown.add_column(column, justify="right", no_wrap=True)
    for heading in dict.fromkeys(row.row for row in measured):
        shown.add_row(f"[bold]{heading}[/bold]")
        for row in (row for row in measured if row.row == heading):
            peak = "" if row.peak_mb is None else f"{row.peak_mb:.0f}"
            shown.add_row(
                "  " + row.model, f"{row.ratio:.3g}", f"{row.seconds:.3g}", f"{row.reference_seconds:.3g}", peak
            )
    return shown


def write(path: Path, measured: list[Row]) -> None:
    """Write the rows as JSON, whole or not at all."""
    keys = ("row", "model", "ratio", "seconds", "reference_seconds", "peak_mb")
    data = [{key: asdict(row)[key] for key in keys} for row in measured]
    write_atomically(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny models and few repeats: does it run at all?")
    parser.add_argument("--rows", nargs="+", choices=KINDS, default=list(KINDS), help="which kinds of rows (all)")
    parser.add_argument("--models", nargs="+", choices=NAMES, help="on which models (on those each row is meant for)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu, cuda, ...")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"), help="where the figures go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
