"""The search of an attack in shards that know nothing of each other, made at once where there is room for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from acdc.attacks.case import Case
from acdc.attacks.plan import AttackPlan
from acdc.attacks.search import KEPT, Search, rank, search
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.models import load_named
from acdc.pieces.place import HERE, AbstractPlace
from acdc.pieces.work import AbstractWork
from acdc.problems import problems
from acdc.progress import Progress
from acdc.provenance import Provenance
from acdc.request import Request, require_same
from acdc.settings import Setup
from acdc.tasks.task import Task


@dataclass(frozen=True)
class SearchShards(AbstractWork[int, Search]):
    """The shards of a search by number; task and model themselves, or what other processes find them by.

    Where these are found again, `measurement` is what they must be (that of a provenance); None where nothing is.
    """

    task: str | Task
    model: str | Model
    circuit: Circuit
    setup: Setup
    plan: AttackPlan
    measurement: Mapping[str, Any] | None = None

    @property
    def device(self) -> str:
        """The setup's."""
        return self.setup.compute.device

    def elsewhere(self, asked: Request, origin: Provenance) -> SearchShards:
        """The same shards for other processes, which find task and model again by what was asked for.

        Raises: BadSetting where they go by no such names.
        """
        asked.require_named()
        return replace(self, task=asked.file or asked.task.name, model=asked.model, measurement=origin.measurement())

    def opened(self) -> Callable[[int], Search]:
        """What searches one shard.

        Raises: ChangedSubject when task or model are not here what they are where the attack was begun.
        """
        return self._opened(lambda progress: None)

    def _opened(self, watch: Callable[[Progress], None]) -> Callable[[int], Search]:
        asked = Request.of(self.task, self.model)
        task, model = asked.task, self.model
        model = model if isinstance(model, Model) else load_named(asked.model, self.setup)
        if self.measurement is not None:
            here = asked.provenance(*problems(task, model, self.setup), self.setup)
            require_same(self.measurement, here.measurement())
        return self._searching(task, model, watch)

    def walk(self, place: AbstractPlace, watch: Callable[[Progress], None]) -> Search:
        """All shards together: the worst cases of all of them, each once; a prompt that two have met counts twice."""
        plan, shards, found = self.plan.search, range(self.plan.search.shards), list[Search]()
        each = map(self._opened(watch), shards) if place is HERE else place.each(self, shards)
        for one in each:
            found.append(one)
            watch(Progress("search", sum(done.tested for done in found), plan.budget))
        return _together(found, self.plan)

    def _searching(self, task: Task, model: Model, watch: Callable[[Progress], None]) -> Callable[[int], Search]:
        plan, budgets = self.plan, self.plan.search.parts()

        def searched(shard: int) -> Search:
            before = sum(budgets[:shard])

            def within(progress: Progress) -> None:
                watch(replace(progress, done=before + progress.done, total=plan.search.budget))

            given = task, model, self.circuit, self.setup
            return search(*given, budget=budgets[shard], seed=plan.seed, shard=shard, watch=within)

        return searched


def _together(found: list[Search], plan: AttackPlan) -> Search:
    once: dict[tuple[str, str], Case] = {}
    for case in sorted((case for one in found for case in one.cases), key=rank):
        once.setdefault((case.pair.clean, case.pair.corrupt), case)
    tested, failures, seconds = (sum(getattr(one, name) for one in found) for name in ("tested", "failures", "seconds"))
    return Search(tuple(once.values())[:KEPT], failures, tested, seconds, plan.search.budget, plan.seed)
