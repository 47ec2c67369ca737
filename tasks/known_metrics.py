"""Every metric there is: what it is called, what it says, what its numbers mean and where it is from.

Names can be checked and shown where nothing is measured, without loading torch; `tasks.metrics` measures. A new metric
is an entry here and a class with its name as `name` there: help, forms and schemas follow. What a dry run has to know
of it before torch is loaded, tests ask for: its usual effect, whether it needs the vocabulary, where its gradient is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from acdc.tasks.errors import UnknownMetric


@dataclass(frozen=True)
class MetricEntry:
    """A metric: one line of help, what its numbers mean and their sign, its other names, and its source."""

    help: str
    meaning: str
    aliases: tuple[str, ...] = ()
    source: str = ""


METRICS: Mapping[str, MetricEntry] = MappingProxyType(
    {
        "logit_difference": MetricEntry(
            "mean logit: answers - distractors",
            "mean logit of the answers minus that of the distractors; higher: more of the behaviour",
            ("logit_diff",),
            "Wang et al. 2022, arXiv:2211.00593, section 2.1",
        ),
        "probability_difference": MetricEntry(
            "probability: answers - distractors",
            "probability of all answers minus that of all distractors; higher: more of the behaviour",
            ("prob_diff",),
            "Hanna et al. 2023, arXiv:2305.00586, section 2",
        ),
        "log_probability_difference": MetricEntry(
            "log p: whole answers - distractors",
            "mean log probability of the whole answers minus that of the distractors; higher: more of the behaviour",
            ("log_prob_diff",),
        ),
        "kl": MetricEntry(
            "KL from the full model, in nats",
            "KL(full model || circuit) of the next token, in nats; lower: closer to the full model, 0 at best",
            ("kl_div",),
            "Conmy et al. 2023, arXiv:2304.14997, section 3",
        ),
        "nll": MetricEntry(
            "-log p of the answers, in nats",
            "negative log probability of all answers, in nats; lower: more of the behaviour, 0 at best",
        ),
        "accuracy": MetricEntry(
            "how often an answer is likeliest",
            "1 where the most likely token is an answer, else 0; higher: more of the behaviour",
        ),
        "l2": MetricEntry(
            "distance from the model's logits",
            "Euclidean distance of the logits from the full model's; lower: closer to the full model, 0 at best",
        ),
    }
)


def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics."""
    return tuple(METRICS)


def metric_name(name: str) -> str:
    """Return the own name of the metric of this name, or of this alias of a name.

    Raises: UnknownMetric, with the nearest names.
    """
    for own, entry in METRICS.items():
        if name == own or name in entry.aliases:
            return own
    raise UnknownMetric(name, metric_names())
