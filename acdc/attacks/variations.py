"""Does a circuit hold where the behaviour stays and its surface changes? A task's edge cases, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy

from acdc.attacks.case import Case
from acdc.attacks.measuring import cases
from acdc.judges.minimality import holm
from acdc.problems import problems
from acdc.streams import Streams
from acdc.tasks.errors import BadPrompts

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.model import Model
    from acdc.problem import Problem
    from acdc.settings import Setup
    from acdc.tasks.prompts import PromptPairs
    from acdc.tasks.task import Task, Variation

Verdict = Literal["holds", "breaks", "model's limit", "not expressible"]

STANDARD = "standard"
"""What the task's own judgement prompts are called among the variations."""
ABLE = 0.8
"""The accuracy below which the model itself is taken not to do a variation."""
LEVEL = 0.05
DROP = 0.1
"""How much less of what the model does right a circuit that breaks must do right."""
_FEWEST = 2
_WORST = 3


@dataclass(frozen=True)
class KLSpread:
    """How KL(model || circuit), in nats, is spread over the prompts: median, 99th percentile and maximum."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True)
class VariationFigures:
    """What the model and a circuit make of the `count` prompts of a variation.

    The accuracies are the fractions of prompts whose most likely token is an answer, `kept` that of the prompts that
    the model does right on which the circuit is right too (None where the model does none). `worst` are the failures of
    the highest KL, and then other prompts of the highest KL, three in all.
    """

    count: int
    model_accuracy: float
    circuit_accuracy: float
    kept: float | None
    kl: KLSpread
    worst: tuple[Case, ...]

    @property
    def model_right(self) -> int:
        """On how many of its prompts the model is right."""
        return round(self.model_accuracy * self.count)


@dataclass(frozen=True)
class Varied:
    """A variation, what was measured on it (None where it has no prompts for this model), and the verdict with why.

    `p_value` is that of the test for the circuit doing less of what the model does right than on the standard prompts
    (None where none was made), after Holm.
    """

    name: str
    about: str
    measured: VariationFigures | None
    p_value: float | None
    verdict: Verdict
    why: str

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        measured = self.measured
        return {
            "name": self.name,
            "about": self.about,
            "count": measured.count if measured else 0,
            "model_accuracy": measured and measured.model_accuracy,
            "circuit_accuracy": measured and measured.circuit_accuracy,
            "kept": measured and measured.kept,
            "kl": measured and asdict(measured.kl),
            "p_value": self.p_value,
            "verdict": self.verdict,
            "why": self.why,
            "worst": [case.to_json() for case in measured.worst] if measured else [],
        }


def variations(task: Task, model: Model, circuit: Circuit, setup: Setup, *, prompts: int = 64) -> tuple[Varied, ...]:
    """Measure a circuit on the task's judgement prompts, named `standard`, and then on each of its variations.

    A variation has at most `prompts` prompts, drawn with the setup's seed, none of which is a discovery prompt; missing
    edges carry what its own corrupt prompts say, or the means of the judgement prompts. The verdict is one of these,
    tried in this order:

    - `not expressible`: the model's tokenizer writes fewer than 2 of the prompts.
    - `model's limit`: the model is right on less than 80% of them; what the circuit does is not judged.
    - `breaks`: of the prompts that the model does right, the circuit does 10 points less than of the standard ones, and
      Fisher's exact test, one-sided, at a level of 0.05 after Holm's correction over the variations that are tested.
    - `holds`: otherwise. That is no proof: with few prompts only a large loss is told from chance.

    A circuit that is wrong on the standard prompts already can lose little by a variation: the standard prompts, which
    nothing is compared with, break it where it does 10 points less of them than the model. The loss of an answer counts
    and not the KL, which is told beside it: it has no bound that would suit all behaviours.

    Raises: BadPrompts when the tokenizer cannot express the standard prompts; DifferentGraphs.
    """
    discovery, judgement = problems(task, model, setup)
    usual = cases(judgement, circuit, STANDARD)
    drawn = [prompts_of(variation, judgement, discovery.pairs, prompts, setup.seed) for variation in task.variations]
    measured = [
        () if isinstance(pairs, str) else cases(judgement.on(pairs), circuit, f"variation {variation.name}")
        for variation, pairs in zip(task.variations, drawn, strict=True)
    ]
    p_values = _corrected([_p_value(found, usual) if _able(found) else None for found in measured])
    about = "The task's own prompts, which judge the circuit."
    rows = [Varied(STANDARD, about, _measured(usual), None, *_usually(usual))]
    for variation, pairs, found, p_value in zip(task.variations, drawn, measured, p_values, strict=True):
        reason = pairs if isinstance(pairs, str) else ""
        verdict = _judged(found, usual, p_value, reason)
        rows.append(Varied(variation.name, variation.about, _measured(found), p_value, *verdict))
    return tuple(rows)


def prompts_of(
    variation: Variation, problem: Problem, seen: PromptPairs, count: int, seed: int, draw: int = 0
) -> PromptPairs | str:
    """At most `count` prompts of a variation without those that were seen; why not, where these are fewer than 2.

    They are to be measured as the problem's prompts are.
    Every `draw` of a seed gives others, and none of them is a draw of the task's own prompts or of a search.
    """
    pairs, reason = None, ""
    while pairs is None and count >= _FEWEST:
        try:
            pairs = variation.prompts.pairs(problem.model.tokenizer, count, Streams(seed).variations(draw))
        except BadPrompts as error:
            reason, count = f"{error.problems[0].what}: {error.problems[0].got}", count // 2
    if pairs is None:
        return reason
    known = {pair.clean for pair in seen.pairs}
    kept = [index for index, pair in enumerate(pairs.pairs) if pair.clean not in known and problem.fits(pair.length)]
    if len(kept) < _FEWEST:
        return f"only {len(kept)} of {len(pairs)} prompts are new and not longer than the model and the means allow"
    return pairs.select(kept)


def _measured(found: Sequence[Case]) -> VariationFigures | None:
    if not found:
        return None
    spread = KLSpread(*(float(kl) for kl in numpy.quantile([case.kl for case in found], [0.5, 0.99, 1.0])))
    right = [sum(side) / len(found) for side in ([c.model.right for c in found], [c.circuit.right for c in found])]
    worst = sorted(found, key=lambda case: (not case.fails, -case.kl))[:_WORST]
    both, lost = _kept(found)
    kept = both / (both + lost) if both + lost else None
    return VariationFigures(len(found), right[0], right[1], kept, spread, tuple(worst))


def _able(found: Sequence[Case]) -> bool:
    """Whether the model itself does it."""
    return bool(found) and sum(case.model.right for case in found) >= ABLE * len(found)


def _kept(found: Sequence[Case]) -> tuple[int, int]:
    """On how many of the prompts that the model does right the circuit is right too, and on how many it is not."""
    done = [case.circuit.right for case in found if case.model.right]
    return sum(done), len(done) - sum(done)


def _p_value(found: Sequence[Case], usual: Sequence[Case]) -> float:
    """That of Fisher's exact test for the circuit losing more of these prompts than of the usual ones."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([_kept(found), _kept(usual)], alternative="less").pvalue)


def _corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values after Holm's correction over those that there are."""
    corrected = iter(holm(numpy.array([p for p in p_values if p is not None])).tolist())
    return [None if p is None else next(corrected) for p in p_values]


def _judged(found: Sequence[Case], usual: Sequence[Case], p_value: float | None, reason: str) -> tuple[Verdict, str]:
    if reason:
        return "not expressible", reason
    if p_value is None:
        return "model's limit", _limit(found)
    (kept, lost), (usually_kept, usually_lost) = _kept(found), _kept(usual)
    share, usual_share = kept / (kept + lost), usually_kept / max(usually_kept + usually_lost, 1)
    why = (
        f"of what the model does right, the circuit does {share:.0%}, and {usual_share:.0%} of the standard prompts "
        f"(p = {p_value:.2g})"
    )
    return ("breaks" if p_value <= LEVEL and usual_share - share >= DROP else "holds"), why


def _usually(usual: Sequence[Case]) -> tuple[Verdict, str]:
    """The verdict on the standard prompts: there are no others to compare them with, but the model does them."""
    if not _able(usual):
        return "model's limit", _limit(usual)
    kept, lost = _kept(usual)
    sentence = (
        f"of what the model does right, the circuit does {kept / (kept + lost):.0%}; the others are compared with it"
    )
    return ("breaks" if lost >= DROP * (kept + lost) else "holds"), sentence


def _limit(found: Sequence[Case]) -> str:
    right = sum(case.model.right for case in found)
    return f"the model itself is right on {right} of {len(found)} prompts only, which says nothing of the circuit"
