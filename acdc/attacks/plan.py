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


@dataclass(frozen=True)
class AttackPlan:
    """What an attack tries; the same plan gives the same cases again.

    `seed` is that of the search and of every bootstrap, `budget` how many prompts the search tests, `crossed` how many
    prompts are crossed with each other (None: those that judge the circuit), `prompts` how many are drawn of every
    variation, `diagnosed` for how many of the worst cases repairs are sought, `parts` what is tried.

    Raises: BadSetting when a number is too small or too large.
    """

    seed: int = 0
    budget: int = 1000
    crossed: int | None = None
    prompts: int = 64
    diagnosed: int = 3
    parts: tuple[Part, ...] = PARTS

    def __post_init__(self) -> None:
        for name, number, least, most in (
            ("seed", self.seed, 0, self.seed),
            ("budget of the search", self.budget, 1, MOST_TESTED),
            ("number of prompts to cross", 2 if self.crossed is None else self.crossed, 2, MOST_PROMPTS),
            ("number of prompts of a variation", self.prompts, 2, MOST_PROMPTS),
            ("number of cases to diagnose", self.diagnosed, 0, self.diagnosed),
        ):
            if number < least:
                raise BadSetting(f"the {name} is {number}; wanted at least {least}")
            if number > most:
                raise BadSetting(f"the {name} is {number:,}; wanted at most {most:,}")

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {**asdict(self), "parts": list(self.parts)}
