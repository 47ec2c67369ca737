"""What a discovery would cost, one line each: told from the configuration, or from a sample of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from typing_extensions import assert_never

from acdc.report.columns import fact_table
from acdc.settings import Edges, Goal, KeptAccuracy, KeptFaithfulness, MeanKL, Method, Minutes, Threshold

if TYPE_CHECKING:
    from acdc.cost.forecast import Forecast
    from acdc.cost.prediction import CostPrediction

_MINUTE, _HOUR = 60, 3600
_UNSURE = 3
"""A longest time that is so many times the shortest is said to be unsure."""


def predicted(cost: CostPrediction, name: str) -> Table:
    """What a discovery on the model of that name would cost, from the configuration alone."""
    graph, lengths = cost.shape.graph, sorted(len(pair.clean) for pair in cost.prompts.pairs)
    of = f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"
    least, most = cost.seconds
    unsure = "; what pruning meets is known to about a factor of 3" if cost.work.runs and most > _UNSURE * least else ""
    return fact_table(
        {
            "model": f"{name}, {graph.describe()}; {_size(cost.holding.weights)} of weights",
            "graph": f"{graph.n_edges:,} edges between {len(graph.senders) + 1:,} nodes, "
            f"into {len(graph.receivers):,} receivers",
            "prompts": f"{len(lengths):,} of {of} tokens to find it, and as many others to judge it",
            "search": f"{cost.chosen.method.name}, for {_of(cost.chosen.goal)}",
            "why": cost.chosen.why,
            "runs": _runs(cost),
            "memory": f"about {_size(cost.holding.above)} above the loaded model, {_size(cost.holding.whole)} in all",
            **({"devices": _devices(cost)} if cost.holding.devices else {}),
            "time": f"{span(least, most)}, with loading and judging{unsure}",
        }
    )


def price(cost: Forecast, method: Method, goal: Goal) -> Table:
    """What a discovery would cost by a method for a goal, from a sample of it."""
    pruning = method.entry.prunes
    after = "refined, which is not in it, judged and drawn" if method.refine and not pruning else "judged and drawn"
    passes = f"at most {cost.passes:,} removals tried in a run" if pruning else f"{cost.passes:,} pieces of work"
    slow = f", {cost.slowest:,.0f} s where more of the model is reached" if cost.slowest > 1.5 * cost.seconds else ""
    a_run = " a run" if pruning and not isinstance(goal, Minutes) else ""
    return fact_table(
        {
            "graph": f"{cost.edges:,} edges into {cost.receivers:,} receivers",
            "passes": passes,
            "memory": f"about {cost.bytes / 1e6:,.0f} MB above the loaded model",
            "time": f"about {cost.seconds:,.1f} s{a_run}{slow}; then it is {after}",
            "runs": _number_of_runs(goal) if pruning else "one",
        }
    )


def span(least: float, most: float) -> str:
    """A range of seconds in words, in the unit of the longer one."""
    unit, name = next(
        (each for each in ((_HOUR, "h"), (_MINUTE, "min")) if most >= 2 * each[0]),
        (1, "s"),
    )
    low, high = (_rounded(seconds / unit) for seconds in (least, most))
    return f"about {high} {name}" if low == high else f"{low} to {high} {name}"


def _rounded(number: float) -> str:
    """With two digits, and no more decimals than one."""
    if number >= 100:
        return f"{float(f'{number:.2g}'):,.0f}"
    return f"{number:.0f}" if number >= 9.5 else f"{number:.1f}".removesuffix(".0")


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB" if count >= 1e6 else "under 1 MB"


def _devices(cost: CostPrediction) -> str:
    """What each device holds at the peak, and what loading takes, which goes through this machine's memory."""
    held = ", ".join(f"{name} {_size(count)}" for name, count in cost.holding.devices.items())
    return f"{held}; {_size(cost.holding.weights)} of this machine's memory while loading"


def _runs(cost: CostPrediction) -> str:
    work = cost.work
    if not work.runs:
        return f"one, of {work.passes:,} piece{'s' if work.passes > 1 else ''} of work"
    tried = f"about {float(f'{work.passes:.2g}'):,.0f} circuits"
    match cost.chosen.goal:
        case Threshold():
            return f"one, of {tried}"
        case Minutes():
            return f"as many as the minutes allow, about {work.runs}, of more circuits each; {tried} in the first"
        case _:
            return f"about {work.runs}, of more circuits each; {tried} in the last"


def _number_of_runs(goal: Goal) -> str:
    match goal:
        case Threshold():
            return "one"
        case Minutes():
            return "as many as the minutes allow, each slower than the one before"
        case _:
            return "about ten, each slower than the one before"


def _of(goal: Goal) -> str:
    match goal:
        case Threshold(value):
            return f"edges worth {value:g} units of the metric each (--threshold)"
        case Edges(count):
            return f"at most {count:,} edges (--edges)"
        case Minutes(minutes):
            return f"the knee of what {minutes:g} minutes allow (--minutes)"
        case KeptFaithfulness() | KeptAccuracy() | MeanKL():
            return f"the smallest circuit that {goal}"
        case _:
            assert_never(goal)
