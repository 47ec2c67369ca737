"""What metrics are called: names can be checked where nothing is measured, without loading torch."""

from __future__ import annotations

from tasks.errors import UnknownMetric

ALIASES = {
    "logit_diff": "logit_difference",
    "prob_diff": "probability_difference",
    "log_prob_diff": "log_probability_difference",
    "kl_div": "kl",
}
"""Other names that people know metrics by; what is stored is the metric's own."""
_NAMES = (
    "logit_difference",
    "probability_difference",
    "log_probability_difference",
    "kl",
    "nll",
    "accuracy",
    "l2",
)


def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics."""
    return _NAMES


def metric_name(name: str) -> str:
    """Return the own name of the metric of this name, or of this alias of a name.

    Raises: UnknownMetric, with the nearest names.
    """
    own = ALIASES.get(name, name)
    if own not in _NAMES:
        raise UnknownMetric(name, _NAMES)
    return own
