"""Refinements of a small planted model with a path that no drawn prompt takes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from acdc.discovery.discover import Result, discover
from acdc.graphs.ablation import Ablation
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.planted import known
from acdc.robust.learning import discover_robust
from acdc.robust.plan import RobustPlan
from acdc.robust.result import RobustResult
from acdc.settings import Setup
from acdc.tasks.task import Task

SETUP = Setup(prompts=12)
PLAN = RobustPlan(budget=30, counterexamples=12, rounds=2)
SEED = 8
"""That of a small model: four true edges and two hidden ones."""


@lru_cache
def subject() -> Known:
    return known("hidden", SEED)


def truth() -> frozenset[Edge]:
    return subject().truths[Ablation.RESAMPLE]


@lru_cache
def task() -> Task:
    return subject().task


@lru_cache
def first() -> Result:
    """What every refinement with the usual settings begins with."""
    return discover(task(), subject().model, setup=SETUP)


def refined(plan: RobustPlan = PLAN, **settings: Any) -> RobustResult:
    return discover_robust(task(), subject().model, setup=SETUP, plan=plan, **settings)


def never(*_: object) -> None:
    raise AssertionError("this had been done, or is not to be done")
