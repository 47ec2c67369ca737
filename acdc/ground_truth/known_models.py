"""Every model whose circuit is known, by name; what makes it is loaded when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from acdc import tasks
from acdc.errors import BadSetting

if TYPE_CHECKING:
    from acdc.ground_truth.known import Known


@dataclass(frozen=True)
class KnownSubject:
    """A model with a known circuit: what makes it (`module:function`), from which name, and whether from a seed too."""

    maker: str
    name: str
    seeded: bool = False

    def make(self, seed: int) -> Known:
        """The model with its true edges.

        Raises: what the maker raises, such as for an extra that is not installed.
        """
        arguments = (self.name, seed) if self.seeded else (self.name,)
        made: Known = resolve_name(self.maker)(*arguments)
        return made


def subjects() -> dict[str, KnownSubject]:
    """All of them by name; only planted circuits differ from seed to seed, the others are one model each."""
    trained = [name for name in tasks.shipped_models() if (tasks.shipped_model(name) / "truth.json").is_file()]
    return {
        **{
            f"tracr-{program}": KnownSubject("acdc.ground_truth.tracr:known", program)
            for program in ("reverse", "proportion")
        },
        **{
            f"planted-{motif}": KnownSubject("acdc.ground_truth.planted:known", motif, seeded=True)
            for motif in ("chain", "and", "or", "backup", "hidden")
        },
        **{name: KnownSubject("acdc.ground_truth.trained:known", name) for name in trained},
    }


def known(name: str, seed: int) -> Known:
    """The model of that name with its true edges.

    Raises: BadSetting, with the nearest names; and what its maker raises.
    """
    return subjects()[check(name)].make(seed)


def check(name: str) -> str:
    """The name, if it is a subject's.

    Raises: BadSetting, with the nearest names.
    """
    every = list(subjects())
    if name not in every:
        close = get_close_matches(name, every, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"wanted one of {', '.join(every)}"
        raise BadSetting(f"no model with a known circuit is called {name!r}; {hint}")
    return name
