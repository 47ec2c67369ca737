"""The search that a method makes for a goal."""

from __future__ import annotations

from dataclasses import asdict

from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.selection import Rule
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.settings import Goal, Method


def search(method: Method, goal: Goal, seed: int = 0) -> ThresholdSweep | ScoredSearch:
    """The search that a method makes for a goal; `seed` is for the methods that draw random numbers."""
    entry, given = method.entry, {**asdict(method), "seed": seed}
    settings = {name: given[name] for name in entry.takes if name != "select"}
    if entry.prunes:
        return ThresholdSweep(goal, entry.algorithm.build(1.0, **settings))
    return ScoredSearch(goal, entry.algorithm.build(**settings), Rule(method.select))
