"""Whether a claim holds, and what to say when it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from acdc.hypotheses.baselines import Baseline
from acdc.hypotheses.hypothesis import Claim, ClaimedRole, Hypothesis
from acdc.hypotheses.measuring import measure

if TYPE_CHECKING:
    from acdc.hypotheses.influential_edges import InfluentialEdge
    from acdc.hypotheses.measuring import MeasuredClaim
    from acdc.hypotheses.model_cache import ModelCache
    from acdc.judges.same_subject import Tell

_TOLD = 5
MEANINGS = {
    "behaviour": "the fraction of prompts that the model itself answers rightly",
    "faithfulness": "the part of the behaviour that the circuit keeps",
    "kl": "the KL divergence from the model to the circuit, in nats",
    "completeness": "how far circuit and model are apart without the same parts, at worst",
    "minimality": "how many edges of the circuit are useless",
    "necessity": "the part of the behaviour that is kept without the circuit",
    "size": "how many edges the circuit has",
    "edges": "the Jaccard index of the circuit's edges and the baseline's",
    "specificity": "the part of the other task that the circuit keeps",
    "roles": "whether the head has the role, as `acdc explain` finds it",
    "counterexamples": "the KL divergence from the model to the circuit on the worst of the prompts, in nats",
}


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured, the bounds it was held to, and if it does not hold the edges that most make it so.

    `low` and `high` are both None where there is no baseline to hold it to; `recorded` is what can be recorded as one.
    """

    claim: Claim
    measured: MeasuredClaim
    low: float | None
    high: float | None
    recorded: Baseline | None
    influential: tuple[InfluentialEdge, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether there is anything to hold the claim to."""
        return self.low is not None or self.high is not None

    @property
    def passed(self) -> bool:
        """Whether the value is within the bounds."""
        value, slack = self.measured.value, 1e-9  # a baseline with tolerance 0 is met by the value it was rounded from
        return (
            self.bounded
            and (self.low is None or value >= self.low - slack)
            and (self.high is None or value <= self.high + slack)
        )

    @property
    def bound(self) -> str:
        """The bounds in words."""
        ends = []
        if self.low is not None:
            ends.append(f"at least {self.low:.4g}")
        if self.high is not None:
            ends.append(f"at most {self.high:.4g}")
        return " and ".join(ends) or "near a baseline, and none is recorded"

    @property
    def value(self) -> str:
        """The measured value with its interval."""
        interval = self.measured.interval
        ends = f" (95% CI {interval.low:.4g} to {interval.high:.4g})" if interval else ""
        counted = f" {self.measured.counted}" if self.measured.counted else ""
        return f"{self.measured.value:.4g}{ends}{counted}"

    def message(self) -> str:
        """Why the claim does not hold: claim, value, interval, bound and the edges that most make it so."""
        claim = self.claim
        got, wanted = f"{self.value}, {MEANINGS[claim.kind]}", f"{self.bound}{self._from_baseline()}"
        if isinstance(claim.against, ClaimedRole):
            got, wanted = self.measured.counted, claim.against.role
        lines = [
            f"{claim.place}: the claim {claim.name} does not hold",
            f"  measured  {got}",
            f"  claimed   {wanted}",
        ]
        if not self.bounded:
            lines.append("  remedy    record it with `acdc test --update` or `pytest --acdc-update`")
        width = max((len(edge.edge) for edge in self.influential[:_TOLD]), default=0)
        for number, edge in enumerate(self.influential[:_TOLD]):
            label = "edges" if number == 0 else ""
            lines.append(f"  {label:<8}  {edge.edge:<{width}}  {edge.words}")
        if len(self.influential) > _TOLD:
            lines.append(f"{'':<12}and {len(self.influential) - _TOLD} others")
        return "\n".join(lines)

    def figures(self) -> dict[str, Any]:
        """The verdict's figures as plain JSON data, without what does not apply."""
        interval = self.measured.interval
        figures = {
            "claim": self.claim.name,
            "value": self.measured.value,
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
            "at_least": self.low,
            "at_most": self.high,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        influential = [{"edge": edge.edge, "words": edge.words} for edge in self.influential]
        return {**self.figures(), "place": self.claim.place, "passed": self.passed, "influential": influential}

    def _from_baseline(self) -> str:
        tolerance = self.claim.bound.tolerance
        return f" (within {tolerance:g} of the recorded baseline)" if tolerance is not None and self.bounded else ""


def judge(
    hypothesis: Hypothesis,
    claim: Claim,
    model_cache: ModelCache,
    *,
    update: bool = False,
    anyway: bool = False,
    tell: Tell | None = None,
) -> Verdict:
    """Measure one claim and hold it to its bound; with `update`, to the baseline that it will then have.

    `anyway` and `tell` are as for `ModelCache.check`.

    Raises: as `ModelCache.check` and `measure`.
    """
    model_cache.check(hypothesis, anyway=anyway, tell=tell)
    measured = measure(hypothesis, claim, model_cache)
    baseline = hypothesis.baselines.get(claim.name)
    recorded = None
    if claim.recordable:
        if update and claim.compares_with_recorded_edges:  # these are the edges now
            measured = replace(measured, value=1.0)
        recorded = Baseline(measured.value, measured.edges)
        baseline = recorded if update else baseline
    low, high = _ends(claim, baseline)
    verdict = Verdict(claim, measured, low, high, recorded)
    if verdict.passed or not verdict.bounded:
        return verdict
    return replace(verdict, influential=measured.influential(low is not None and measured.value < low))


def _ends(claim: Claim, baseline: Baseline | None) -> tuple[float | None, float | None]:
    bound = claim.bound
    if claim.recordable and baseline is None:
        return None, None
    if bound.tolerance is None:
        return bound.low, bound.high
    assert baseline is not None
    if claim.compares_with_recorded_edges:
        return 1 - bound.tolerance, None
    return baseline.value - bound.tolerance, baseline.value + bound.tolerance
