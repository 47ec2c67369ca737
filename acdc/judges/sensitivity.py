"""Does the circuit hold by other measures? The same circuit under every ablation and every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import Constants
from acdc.judges.distance import Watch
from acdc.progress import Progress

if TYPE_CHECKING:
    from acdc.problem import Problem

AT_LEAST = 0.8
"""The fraction of the behaviour that a circuit is taken to claim to keep, unless it is told."""

Verdict = Literal["holds", "conditional", "fails"]


@dataclass(frozen=True)
class ConditionalClaim:
    """Under which of several settings a circuit keeps what it claims to keep, and under which not.

    `unmeasurable` are those under which ablating the whole model does not hurt, so that nothing can be kept.
    """

    holds: tuple[str, ...]
    breaks: tuple[str, ...]
    unmeasurable: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds under all settings, is conditional on the setting, or fails under all."""
        return "fails" if not self.holds else "conditional" if self.breaks else "holds"


@dataclass(frozen=True)
class Sensitivity:
    """What a circuit keeps of the behaviour by ablation and then metric, as a normalised faithfulness.

    None where ablating the whole model does not hurt. The claim is to keep `at_least` this much; `ablations` tests it
    by the problem's own metric, `metrics` under its own ablation.
    """

    at_least: float
    kept: dict[str, dict[str, float | None]]
    ablations: ConditionalClaim
    metrics: ConditionalClaim

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        claims = {name: getattr(self, name) for name in ("ablations", "metrics")}
        by_name = {name: {**asdict(claim), "verdict": claim.verdict} for name, claim in claims.items()}
        return {"at_least": self.at_least, "kept": self.kept, **by_name}


def sensitivity(
    problem: Problem, circuit: Circuit, at_least: float = AT_LEAST, *, watch: Watch | None = None
) -> Sensitivity:
    """Measure a circuit under all ablations and the metrics that go with the prompts; `watch` hears of every ablation.

    Optimal ablation is left out where the problem has no learned constants.

    Raises: BadSetting when `at_least` is no fraction above 0; DifferentGraphs.
    """
    from acdc.problem import Effect
    from acdc.tasks.metrics import metric, metric_names

    if not 0 < at_least <= 1:
        raise BadSetting(f"the part to keep is {at_least}; wanted a fraction above 0 and at most 1")
    others = (metric(name) for name in metric_names() if name != problem.metric.name)
    metrics = [problem.metric, *(other for other in others if other.goes_with(whole=problem.pairs.whole))]
    circuits = [Circuit.full(problem.graph), circuit, Circuit.empty(problem.graph)]
    kept: dict[str, dict[str, float | None]] = {}
    known = isinstance(problem.carried_from, Constants)
    ablations = [ablation for ablation in Ablation if known or not ablation.is_learned]
    for done, ablation in enumerate(ablations, start=1):
        values = replace(problem, ablation=ablation).measure(circuits, metrics)
        kept[ablation.value] = {
            measured.name: float((one - none).mean() / (full - none).mean())
            if Effect.of(measured, full, none, problem.model.dtype).shows
            else None
            for measured, (full, one, none) in zip(metrics, values, strict=True)
        }
        if watch is not None:
            watch(Progress("ablations and metrics", done, len(ablations)))
    by_ablation = [(ablation, parts[problem.metric.name]) for ablation, parts in kept.items()]
    return Sensitivity(
        at_least, kept, _claim(by_ablation, at_least), _claim(list(kept[problem.ablation.value].items()), at_least)
    )


def _claim(kept: Sequence[tuple[str, float | None]], at_least: float) -> ConditionalClaim:
    return ConditionalClaim(
        tuple(name for name, part in kept if part is not None and part >= at_least),
        tuple(name for name, part in kept if part is not None and part < at_least),
        tuple(name for name, part in kept if part is None),
    )
