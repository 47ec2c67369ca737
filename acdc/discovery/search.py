"""The search that a method makes for a goal."""

from __future__ import annotations

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.grouped import GroupedPruning
from acdc.algorithms.importance import HeadImportance
from acdc.algorithms.information_flow import InformationFlow
from acdc.algorithms.masks import LearnedMasks
from acdc.algorithms.random_scores import Chance
from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.selection import Rule
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.settings import Goal, Method


def search(method: Method, goal: Goal, seed: int = 0) -> ThresholdSweep | ScoredSearch:
    """The search that a method makes for a goal; `seed` is for the methods that draw random numbers."""
    rule = Rule(method.select)
    match method.name:
        case "acdc":
            pruning = GreedyPruning(1.0, method.batch, method.max_bytes, method.refine)
            return ThresholdSweep(goal, pruning)
        case "eap+acdc":
            return ThresholdSweep(goal, GroupedPruning(1.0, method.steps, method.max_bytes, method.refine))
        case "eap":
            return ScoredSearch(goal, Attribution(), rule)
        case "eap-ig":
            return ScoredSearch(goal, IntegratedGradients("inputs", method.steps), rule)
        case "eap-ig-activations":
            return ScoredSearch(goal, IntegratedGradients("activations", method.steps), rule)
        case "exact":
            return ScoredSearch(goal, ExactPatching(method.max_bytes), rule)
        case "hisp":
            return ScoredSearch(goal, HeadImportance(), rule)
        case "masks":
            return ScoredSearch(goal, LearnedMasks(seed=seed, max_bytes=method.max_bytes), rule)
        case "information-flow":
            return ScoredSearch(goal, InformationFlow(), rule)
        case "random":
            return ScoredSearch(goal, Chance(seed), rule)
        case _:
            raise AssertionError(f"a method without a search: {method.name}")
