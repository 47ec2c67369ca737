"""What learning from counterexamples gains over as many edges without them: the table of docs/attacks.md.

Run as `python -m tests.benchmarks.robustness [TASK...]`: a line per task, in Markdown.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from acdc import tasks
from acdc.attacks.search import search
from acdc.discovery.discover import discover
from acdc.models import load_named
from acdc.robust.learning import discover_robust
from acdc.robust.plan import RobustPlan
from acdc.robust.result import CircuitFigures, UnseenAttack
from acdc.settings import Edges, Setup

TASKS = ("periodic", "greater_than", "agreement", "docstring", "addition", "induction", "ioi", "planted_detour")


@dataclass(frozen=True)
class Outcome:
    """How the first and the robust circuit stand, and by metric what as many edges do without counterexamples."""

    unseen: UnseenAttack
    controls: dict[str, CircuitFigures]
    rounds: int


def outcome(name: str, setup: Setup, plan: RobustPlan) -> Outcome:
    """Refine a task's circuit; attack it and the controls with the unseen seed."""
    task = tasks.get(name)
    model = load_named(task.model, setup)
    refined = discover_robust(task, model, setup=setup, plan=plan)
    goal = Edges(int(plan.growth * refined.unseen.first.edges))
    controls = {}
    for metric in dict.fromkeys(("kl", task.metric)):
        found = discover(task, model, setup=replace(setup, metric=metric), goal=goal)
        worst = search(task, model, found.circuit, setup, budget=plan.budget, seed=plan.seeds.unseen).cases
        kl = max((case.kl for case in worst), default=0.0)
        controls[metric] = CircuitFigures(len(found.circuit), found.faithfulness.kl.circuit, kl)
    return Outcome(refined.unseen, controls, len(refined.rounds))


def line(name: str, found: Outcome) -> str:
    """A row of the table."""
    first, last = found.unseen.first, found.unseen.last
    gain = 1 - last.worst / first.worst if first.worst else 0.0
    controls = ", ".join(f"{one.worst:.3g} ({metric}, {one.edges})" for metric, one in found.controls.items())
    edges = f"{first.edges} -> {last.edges}"
    worst = f"{first.worst:.3g} -> {last.worst:.3g} ({-gain:+.0%})"
    mean = f"{first.mean:.3g} -> {last.mean:.3g}"
    return f"| {name} | {edges} | {worst} | {mean} | {controls} | {found.rounds - 1} |"


def main(*names: str) -> None:
    """Print the table of these tasks, or of all."""
    print(
        "| task | edges | worst KL, unseen attack | mean KL, judgement | worst of controls (metric, edges) | rounds |"
    )
    print("|---|---|---|---|---|---|")
    for name in names or TASKS:
        print(line(name, outcome(name, Setup(), RobustPlan())), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
