"""The algorithm that a method is, and the search that it makes for a goal."""

from __future__ import annotations

from dataclasses import asdict

from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.scores import AbstractScorer
from acdc.discovery.pruning_runs import Pruning, RunsElsewhere, prunes
from acdc.discovery.refined_search import RefinedSearch
from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.selection import Rule
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.discovery.timed_search import TimedSearch
from acdc.errors import BadSetting
from acdc.settings import Edges, Goal, Method, Minutes, Threshold


def algorithm_of(method: Method, seed: int = 0) -> Pruning | AbstractScorer:
    """The algorithm that a method is, with its settings; `seed` is for those that draw random numbers."""
    entry, given = method.entry, {**asdict(method), "seed": seed}
    of_the_search = () if entry.prunes else ("refine", "select")
    settings = {name: given[name] for name in entry.takes if name not in of_the_search}
    built: Pruning | AbstractScorer = entry.algorithm.build(*(1.0,) * entry.prunes, **settings)  # 1.0: a threshold
    return built


def require_sweep(method: Method, goal: Goal) -> None:
    """Refuse to look elsewhere for what no sweep over thresholds finds: nothing else is in independent pieces.

    Raises: BadSetting.
    """
    if not method.entry.prunes or isinstance(goal, (Minutes, Threshold)):
        got = f"a goal of {'minutes' if isinstance(goal, Minutes) else 'one threshold'}" if method.entry.prunes else ""
        raise BadSetting(
            f"only a sweep over thresholds has runs that can be made elsewhere, which is pruning to a faithfulness, "
            f"KL, accuracy or number of edges: got {got or f'--method {method.name}, which does not prune'}; "
            "leave out --on"
        )


def search(
    method: Method,
    goal: Goal,
    seed: int = 0,
    spent: float = 0.0,
    elsewhere: RunsElsewhere | None = None,
    *,
    exactly: bool = False,
) -> ThresholdSweep | ScoredSearch | TimedSearch | RefinedSearch:
    """The search that a method makes for a goal; `seed` is for the methods that draw random numbers.

    `spent` are the seconds that are gone already, of a goal that has so many; `elsewhere` is where pruning runs at the
    thresholds of a sweep are made ahead, if anywhere. `exactly` so many scored edges are not fewer that keep more.
    """
    algorithm = algorithm_of(method, seed)
    if isinstance(goal, Edges) and isinstance(algorithm, LearnedMasks):
        algorithm = algorithm.up_to(goal.count)
    if isinstance(goal, Minutes):
        timed = TimedSearch(goal, algorithm, Rule(method.select), spent)
        return RefinedSearch(timed, method.max_bytes) if method.refine and not prunes(algorithm) else timed
    if prunes(algorithm):
        return ThresholdSweep(goal, algorithm, elsewhere)
    scored = ScoredSearch(goal, algorithm, Rule(method.select), exactly)
    return RefinedSearch(scored, method.max_bytes) if method.refine else scored
