"""How a circuit is searched for: which algorithm, and its settings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Literal, TypeAlias

from acdc.errors import BadSetting

PRUNING = {
    "acdc": "greedy pruning from the logits back, every removal measured (Conmy et al. 2023)",
    "eap+acdc": "groups of the edges that attribution ranks lowest, every removal measured, halved where it fails",
}
SCORING = {
    "eap": "edge attribution patching: one gradient, first order (Nanda 2023; Syed et al. 2023)",
    "eap-ig": "the same, averaged along the way from corrupt to clean inputs (Hanna et al. 2024)",
    "eap-ig-activations": "the same, along each layer's activations; slower",
    "exact": "the exact effect of each edge alone (path patching); slowest",
    "hisp": "head importance: one gradient per node, an edge as its lesser end (Michel et al. 2019)",
    "masks": "learned edge masks, hard-concrete with L0 (Cao et al. 2021; Bhaskar et al. 2024)",
    "information-flow": "shares in what each receiver reads; no metric, no corrupt prompts (Ferrando and Voita 2024)",
    "random": "scores by chance, to compare with",
}
ScoreKind: TypeAlias = Literal["effect", "estimate", "other"]
METHODS = (*PRUNING, *SCORING)
SELECTIONS = ("top", "greedy")
FIRST_ORDER = ("eap", "eap-ig", "eap-ig-activations", "hisp")
"""The methods whose scores are computed from gradients: no removal is measured."""
TAKEN_BY = {
    "refine": tuple(PRUNING),
    "select": tuple(SCORING),
    "steps": ("eap+acdc", "eap-ig", "eap-ig-activations"),
    "batch": ("acdc",),
}
"""The settings that not every method looks at, and the methods that do."""
MOST_STEPS = 10_000
_WORTH = "how much worse the metric gets when the edge is removed, in its units; positive: the edge helps the behaviour"
_SCORES = {
    **dict.fromkeys(FIRST_ORDER, f"estimate, to first order and measured by no removal, of {_WORTH}"),
    "hisp": "estimate, to first order and measured by no removal, of how much ablating the lesser of its two nodes "
    "changes the metric, in its units; never negative, so it does not tell help from harm",
    "masks": "the learned probability that the edge is kept, from 0 to 1",
    "information-flow": "the sender's share in what the receiver reads, from 0 to 1; it knows nothing of the behaviour",
    "random": "drawn by chance from 0 to 1",
}


@dataclass(frozen=True)
class Method:
    """One of `METHODS` with its settings.

    `refine` sweeps a pruned circuit until it is one-minimal; `select` is how scored edges are chosen, the highest
    anywhere ("top") or from the logits back ("greedy"); `steps` is the number of points on a path of integrated
    gradients; `batch` how many candidates are tried together at most (0: as many as pays); `max_bytes` about how much
    memory a batch of trials may take.

    Raises: BadSetting when a value is none of these, or does not go with the method.
    """

    name: str = "acdc"
    refine: bool = False
    select: str = "top"
    steps: int = 5
    batch: int = 0
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            close = get_close_matches(self.name, METHODS, n=2)
            hint = f"did you mean {' or '.join(close)}?" if close else f"wanted one of {', '.join(METHODS)}"
            raise BadSetting(f"unknown method {self.name!r}; {hint}")
        if self.select not in SELECTIONS:
            raise BadSetting(f"unknown selection {self.select!r}; wanted {' or '.join(SELECTIONS)}")
        for setting in fields(self):
            if setting.name in TAKEN_BY and getattr(self, setting.name) != setting.default:
                self.require_taken(setting.name)
        if not 1 <= self.steps <= MOST_STEPS:
            raise BadSetting(
                f"integrated gradients over {self.steps:,} steps cannot be taken; wanted 1 to {MOST_STEPS:,} (--steps)"
            )
        if self.max_bytes < 1 << 20:
            raise BadSetting(f"{self.max_bytes:,} bytes are too little to run anything; wanted at least 1 MiB")

    def require_taken(self, setting: str) -> None:
        """Make sure that the method looks at a setting, whatever its value.

        Raises: BadSetting.
        """
        if self.name not in TAKEN_BY[setting]:
            raise BadSetting(
                f"{self.name} does not look at {setting} (--{setting}), which is for {', '.join(TAKEN_BY[setting])}; "
                "leave it out, or give another method (--method)"
            )

    @property
    def score(self) -> str:
        """What the scores of this method's edges mean, and their sign."""
        return _SCORES.get(self.name, _WORTH)

    @property
    def score_kind(self) -> ScoreKind:
        """Whether its scores are measured effects of removals, estimates of these, or something else."""
        if self.name in FIRST_ORDER:
            return "estimate"
        return "other" if self.name in _SCORES else "effect"
