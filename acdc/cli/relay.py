"""What the library warns of and gives notice of while a command runs, in the form of the command line's own words."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from acdc.cli import terminal
from acdc.graphs.errors import DoubtfulModel


@contextmanager
def relayed() -> Iterator[None]:
    """Show doubts about models as warnings, each once, and what the library logs as notes."""
    logger, handler = logging.getLogger("acdc"), _Notes()
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DoubtfulModel)
            warnings.showwarning = _doubts_first(warnings.showwarning)
            yield
    finally:
        logger.removeHandler(handler)


def _doubts_first(shown: Any) -> Any:
    """Show doubts as ours, and other warnings as before."""
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, DoubtfulModel):
            shown(message, category, *where, **more)
        elif str(message) not in seen:
            seen.add(str(message))
            terminal.warn(str(message))

    return show


class _Notes(logging.Handler):
    """Shows what is logged as a note."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show it on stderr."""
        terminal.note(record.getMessage())
