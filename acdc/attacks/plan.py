"""What an attack tries, and how hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from acdc.errors import BadSetting
from acdc.settings import MOST_PROMPTS

Part = Literal["variations", "crossing", "search", "diagnosis", "necessity", "specificity"]
MOST_TESTED = 10_000_000
"""More prompts than this a search does not test in a week, whatever the model."""
PARTS: tuple[Part, ...] = get_args(Part)


def parts(names: Sequence[str]) -> tuple[Part, ...]:
    """The parts of these names, in the order in which they are tried.

    Raises: BadSetting when there is no such part.
    """
    if unknown := [name for name in names if name not in PARTS]:
        raise BadSetting(
            f"an attack has no part called {unknown[0]!r}; wanted some of {', '.join(PARTS)}, as in "
            "--only variations,search"
        )
    return tuple(part for part in PARTS if part in names)


def _require(name: str, number: int, least: int, most: int) -> None:
    if number < least:
        raise BadSetting(f"the {name} is {number}; wanted at least {least}")
    if number > most:
        raise BadSetting(f"the {name} is {number:,}; wanted at most {most:,}")


@dataclass(frozen=True)
class SearchPlan:
    """How many prompts the search tests, and in how many shards that know nothing of each other.

    Each shard tests its part of the budget, from prompts of its own. They can be made at the same time; one search of
    the whole budget goes deeper.

    Raises: BadSetting when a number is too small or too large.
    """

    budget: int = 1000
    shards: int = 1

    def __post_init__(self) -> None:
        _require("budget of the search", self.budget, 1, MOST_TESTED)
        _require("number of shards of the search", self.shards, 1, self.budget)

    def parts(self) -> tuple[int, ...]:
        """The budgets of the shards, as nearly the same as can be."""
        return tuple(
            (shard + 1) * self.budget // self.shards - shard * self.budget // self.shards
            for shard in range(self.shards)
        )


@dataclass(frozen=True)
class AttackPlan:
    """What an attack tries; the same plan gives the same cases again.

    `seed` is that of the search and of every bootstrap, `search` how far the search goes, `crossed` how many
    prompts are crossed with each other (None: those that judge the circuit), `prompts` how many are drawn of every
    variation, `diagnosed` for how many of the worst cases repairs are sought, `parts` what is tried.

    Raises: BadSetting when a number is too small or too large.
    """

    seed: int = 0
    search: SearchPlan = SearchPlan()
    crossed: int | None = None
    prompts: int = 64
    diagnosed: int = 3
    parts: tuple[Part, ...] = PARTS

    def __post_init__(self) -> None:
        for name, number, least, most in (
            ("seed", self.seed, 0, self.seed),
            ("number of prompts to cross", 2 if self.crossed is None else self.crossed, 2, MOST_PROMPTS),
            ("number of prompts of a variation", self.prompts, 2, MOST_PROMPTS),
            ("number of cases to diagnose", self.diagnosed, 0, self.diagnosed),
        ):
            _require(name, number, least, most)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; the shards of the search only where there are several."""
        given = asdict(self)
        search = given.pop("search")
        shards = {"shards": search["shards"]} if self.search.shards > 1 else {}
        return {"seed": given.pop("seed"), "budget": search["budget"], **shards, **given, "parts": list(self.parts)}
