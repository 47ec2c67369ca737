"""What the edge cases of the built-in tasks make of circuits found with the defaults: the table of docs/edge-cases.md.

Run as `python -m tests.benchmarks.edge_cases [TASK...]`: per task a table in Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from acdc import tasks
from acdc.attacks.variations import Varied, variations
from acdc.discovery.discover import discover
from acdc.models import load_named
from acdc.settings import Setup
from tests.tasks.default_models import WITH_MODEL


def table(name: str, setup: Setup) -> Iterator[str]:
    """The lines of a task's table."""
    task = tasks.get(name)
    model = load_named(task.model, setup)
    circuit = discover(task, model, setup=setup).circuit
    yield f"**{name}** on {task.model}: {len(circuit):,} of {circuit.graph.n_edges:,} edges\n"
    yield "| variation | prompts | model | circuit | KL p50 | p99 | max | verdict |"
    yield "|---|---|---|---|---|---|---|---|"
    for varied in variations(task, model, circuit, setup, prompts=setup.prompts):
        yield f"| {' | '.join([varied.name, *_figures(varied)])} |"
    yield ""


def _figures(varied: Varied) -> list[str]:
    if (measured := varied.measured) is None:
        return ["0", "", "", "", "", "", varied.verdict]
    accuracies = [f"{100 * part:.0f}%" for part in (measured.model_accuracy, measured.circuit_accuracy)]
    spread = [f"{part:.3f}" for part in (measured.kl.p50, measured.kl.p99, measured.kl.max)]
    chance = "" if varied.p_value is None else f" (p = {varied.p_value:.2g})"
    verdict = f"**breaks**{chance}" if varied.verdict == "breaks" else varied.verdict
    return [str(measured.count), *accuracies, *spread, verdict]


def main(*names: str) -> None:
    """Print the tables of these tasks, or of all whose default model comes with the package."""
    for name in names or WITH_MODEL:
        for line in table(name, Setup()):
            print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
