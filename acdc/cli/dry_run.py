"""`acdc discover --dry-run`: what a discovery would cost, from the configuration alone or from a sample of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acdc import tasks
from acdc.cli import terminal
from acdc.discovery.defaults import Defaults, measured_for
from acdc.footprint import MEMORY_FACTOR
from acdc.graphs.ablation import Ablation
from acdc.models import is_compiled, load_named
from acdc.settings import Setup

if TYPE_CHECKING:
    from acdc.cost.forecast import Forecast


def tell_cost(task: str, on: str, chosen: Defaults, setup: Setup, *, sampled: bool, quiet: bool, json: bool) -> None:
    """Say what the discovery of a task's circuit on the model of that name would cost.

    Where the model's files do not tell, it is loaded, and said so unless it is made in no time.
    """
    # what an MLP that is split has as parts, files do not tell
    if not sampled and not setup.split and _predicted(task, on, chosen, setup, json=json):
        return
    if not sampled and not is_compiled(on) and not quiet:
        terminal.note(f"the files of {on} do not tell what it costs to run, so it is loaded and a part of it run")
    from acdc.report.price import price

    cost = _sampled(task, on, chosen, setup, quiet=quiet)
    shown = price(cost, chosen.method, chosen.goal)
    terminal.write_json(cost.to_json()) if json else terminal.results().print(shown)


def _predicted(task: str, on: str, chosen: Defaults, setup: Setup, *, json: bool) -> bool:
    from acdc.cost.prediction import predict
    from acdc.report.price import predicted

    cost = predict(tasks.get(task), on, chosen, setup)
    if cost is None:
        return False
    terminal.write_json(cost.to_json()) if json else terminal.results().print(predicted(cost, on))
    return True


def _sampled(task: str, on: str, chosen: Defaults, setup: Setup, *, quiet: bool) -> Forecast:
    """What it would cost, measured on a part of it."""
    from acdc.cli.progress import watching
    from acdc.correctness import Right, hardly_done
    from acdc.cost.forecast import forecast
    from acdc.problems import check_prompts, problems

    found = tasks.get(task)
    with watching(quiet=quiet) as watch:
        watch.stage(f"loading {on}")
        setup = measured_for(chosen.goal, chosen.method, setup)
        if Ablation(
            setup.ablation
        ).is_learned:  # constants take minutes to learn, and the means cost the search as much
            terminal.note("the constants of optimal ablation are learned first, which this time leaves out")
            setup = setup.under(Ablation.MEAN)
        check_prompts(found, on, setup)
        discovery, _ = problems(found, load_named(on, setup), setup, MEMORY_FACTOR * chosen.method.max_bytes)
        for warning in hardly_done(Right.on(discovery), discovery):
            terminal.warn(warning)
        cost = forecast(discovery, chosen.method, chosen.goal)
        watch.stage("measured")
    return cost
