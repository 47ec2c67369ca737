"""A refinement that several tests look at, and the first circuit of all others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from acdc.attacks.search import search
from acdc.robust.learning import _RobustSearch
from acdc.robust.result import RobustResult
from tests.acdc.robust.refinements import first, refined


@dataclass
class Watched:
    """A refinement, the prompts that each search for a circuit learned from, and those each attack did without."""

    learned_from: list[set[tuple[int, ...]]] = field(default_factory=list)
    tested: dict[int, list[set[tuple[int, ...]]]] = field(default_factory=dict)
    refined: RobustResult = field(init=False)


@pytest.fixture(scope="session")
def watched() -> Watched:
    seen = Watched()
    rediscovered = _RobustSearch._rediscovered

    def recorded(robust_search: _RobustSearch, number: int, counterexamples: Any, most: int) -> Any:
        seen.learned_from.append({each.pair.clean for each in counterexamples})
        return rediscovered(robust_search, number, counterexamples, most)

    def searched(*arguments: Any, seed: int, **options: Any) -> Any:
        seen.tested.setdefault(seed, []).append({*options["without"]})
        return search(*arguments, seed=seed, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("acdc.robust.learning._RobustSearch._rediscovered", recorded)
        patched.setattr("acdc.robust.round_attacks.search", searched)
        seen.refined = refined()
    return seen


@pytest.fixture(scope="session")
def found(watched: Watched) -> RobustResult:
    return watched.refined


@pytest.fixture
def discovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first circuit is not searched for again."""
    monkeypatch.setattr("acdc.robust.learning.discover", lambda *_, **__: first())
