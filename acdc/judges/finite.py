"""Numbers that something is decided by are finite: what a NaN is compared with says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from acdc.errors import NotFinite

if TYPE_CHECKING:
    import numpy.typing


def require_finite(what: str, *numbers: numpy.typing.ArrayLike) -> None:
    """Refuse to decide by what is no number.

    Raises: NotFinite.
    """
    import numpy

    for given in numbers:
        values: Any = numpy.asarray(given, dtype=numpy.float64)
        wrong = values[~numpy.isfinite(values)]
        if wrong.size:
            raise NotFinite(
                f"{what} cannot be judged: {wrong.size} of {values.size} numbers are not finite, the first being "
                f"{wrong.flat[0]}; find out what measured them, and leave them out or measure them in a wider precision"
            )
