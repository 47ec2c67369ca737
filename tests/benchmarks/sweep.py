"""What a grid costs beside its cells: the time of `acdc sweep` less what its cells themselves took, by the cell.

Run as `python -m tests.benchmarks.sweep [CELLS] [local|ray]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas

from acdc.cli import main as acdc

_GRID = """\
tasks: [periodic]
models: [periodic-2l]
methods: [eap]
seeds: [{seeds}]
settings: {{prompts: 2, goal: {{edges: 10}}}}
"""
_PROCESSES = {"local": 1, "ray": 2}
"""How many cells are made at once."""


@dataclass(frozen=True)
class Overhead:
    """Seconds: of all of it, of the cells, and of the same command again when all of them are done; and rows."""

    whole: float
    cells: float
    again: float
    rows: int

    def each(self, at_once: int) -> float:
        """The seconds by the cell that were not the cells' own, so many of which were made at once."""
        return (self.whole - self.cells / at_once) / self.rows


def overhead(cells: int, on: str, folder: Path) -> Overhead:
    """Run a grid of so many trivial cells, and run it again."""
    grid = folder / "grid.yaml"
    grid.write_text(_GRID.format(seeds=", ".join(map(str, range(cells)))))
    spent = []
    for _ in range(2):
        began = time.perf_counter()
        code = acdc(["sweep", str(grid), "--out", str(folder / "found"), "--on", on, "--quiet"])
        assert code in (0, 1), code  # a seed may draw prompts of which nothing can be measured
        spent.append(time.perf_counter() - began)
    table = pandas.read_parquet(folder / "found" / "sweep.parquet")
    assert len(table) == cells
    return Overhead(spent[0], float(table.seconds.sum()), spent[1], len(table))


def main(cells: int = 1_000, on: str = "local") -> None:
    """Print what so many cells cost."""
    with tempfile.TemporaryDirectory() as folder:
        found = overhead(cells, on, Path(folder))
    print(
        f"{found.rows:,} cells on {on}: {found.whole:.1f} s, of which the cells' own {found.cells:.1f} s; "
        f"{1e3 * found.each(_PROCESSES[on]):.1f} ms by the cell beside them; {found.again:.1f} s where all are done"
    )


if __name__ == "__main__":
    main(*(int(word) if word.isdecimal() else word for word in sys.argv[1:]))  # type: ignore[arg-type]  # in this order
