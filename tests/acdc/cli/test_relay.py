"""While a command runs, doubts about models are warnings in its own form, and what the library logs are notes."""

from __future__ import annotations

import logging
import warnings

import pytest

from acdc.cli.relay import relayed
from acdc.graphs.errors import DoubtfulModel


def test_a_doubt_is_a_warning_and_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with relayed():
        for _ in range(2):
            warnings.warn("m: its tokenizer is doubtful", DoubtfulModel, stacklevel=1)
    assert capsys.readouterr().err == "warning: m: its tokenizer is doubtful\n"


def test_what_the_library_logs_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    with relayed():
        logging.getLogger("acdc.models").warning("dequantising %s", "m.gguf")
    assert capsys.readouterr().err == "note: dequantising m.gguf\n"


def test_other_warnings_are_shown_as_before() -> None:
    with pytest.warns(UserWarning, match="^something else$"), relayed():
        warnings.warn("something else", stacklevel=1)


def test_outside_of_commands_everything_is_as_before() -> None:
    logger, shown = logging.getLogger("acdc"), warnings.showwarning
    before = [*logger.handlers]
    with pytest.raises(KeyError), relayed():
        raise KeyError
    assert (logger.handlers, warnings.showwarning) == (before, shown)
    with pytest.warns(DoubtfulModel):
        warnings.warn("m: its tokenizer is doubtful", DoubtfulModel, stacklevel=1)
