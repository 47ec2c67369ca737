"""What other libraries say while a model is loaded: what concerns results is passed on, the rest stays silent."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from acdc.graphs.errors import DoubtfulModel

_LOGGERS = ("transformers", "huggingface_hub", "transformer_lens", "")

_CONCERNS_RESULTS = re.compile(
    "|".join(
        (
            # the tokenizer splits texts in another way than the model was trained with
            "incorrect regex pattern",
            "incorrect tokenization",
            "unexpected tokenization",
            "can produce unknown tokens",
            "check that the tokenizer is not corrupted",
            # weights that are not the checkpoint's
            "newly initialized",
            "randomly initialized",
            "will NOT tie",
            "checkpoint seems? corrupted",
            # a computation that is not the one that the configuration asks for
            "a model of type .* to instantiate a model of type",
            "Sliding Window Attention is enabled but not implemented",
            r"Unrecognized keys in `rope_\w+`",
            r"Missing required keys in `rope_\w+`",
            r"`rope_\w+`'s \w+ field must",
            "RoPE scaling factor .* does not match",
            "retrieve missing config vocab_size",
        )
    ),
    re.IGNORECASE | re.DOTALL,
)
"""What transformers says where a model or a tokenizer is not what its files say; everything else is silenced."""


def concerning_results(messages: Iterable[str]) -> tuple[str, ...]:
    """Those of the messages that a reader of the results should know, each once and on one line."""
    lines = (" ".join(message.split()) for message in messages if _CONCERNS_RESULTS.search(message))
    return tuple(dict.fromkeys(lines))


def pass_on(where: str, messages: Iterable[str]) -> None:
    """Warn the caller of whoever loads a model of what is doubtful about it."""
    for message in messages:
        warnings.warn(f"{where}: {message}", DoubtfulModel, stacklevel=3)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Keep other libraries' warnings and progress bars off the user's terminal; yields the list of what they say.

    Errors still come as exceptions, and what is logged as an error is shown.
    """
    import transformers
    from huggingface_hub.utils import logging as hub_logging

    _ = hub_logging.get_verbosity()  # sets its own level when first asked, which would undo ours
    messages: list[str] = []
    bars = transformers.utils.logging.is_progress_bar_enabled()
    with warnings.catch_warnings(record=True) as caught, _collected_logs(messages):
        warnings.simplefilter("always")
        transformers.utils.logging.disable_progress_bar()
        try:
            yield messages
        finally:
            if bars:
                transformers.utils.logging.enable_progress_bar()
            messages += [str(warning.message) for warning in caught]


@contextmanager
def _collected_logs(messages: list[str]) -> Iterator[None]:
    """What is logged as a warning goes into the list, and nowhere else."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    handlers = [handler for logger in loggers for handler in logger.handlers]
    least = [handler.level for handler in handlers]
    collectors = [_Collector(messages, alone=not logger.handlers) for logger in loggers]
    try:
        for logger, collector in zip(loggers, collectors, strict=True):
            logger.setLevel(logging.WARNING)
            logger.addHandler(collector)
        for handler in handlers:
            handler.setLevel(max(handler.level, logging.ERROR))
        yield
    finally:
        for handler, level in zip(handlers, least, strict=True):
            handler.setLevel(level)
        for logger, collector, level in zip(loggers, collectors, levels, strict=True):
            logger.removeHandler(collector)
            logger.setLevel(level)


class _Collector(logging.Handler):
    """Keeps what is logged; where it is the only handler, errors go where Python shows them without any."""

    def __init__(self, messages: list[str], *, alone: bool) -> None:
        super().__init__(logging.WARNING)
        self._messages, self._alone = messages, alone

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message, and show an error."""
        with suppress(TypeError, ValueError):  # a message that does not fit what is to be filled in
            self._messages.append(record.getMessage())
        if self._alone and record.levelno >= logging.ERROR and logging.lastResort:
            logging.lastResort.handle(record)
