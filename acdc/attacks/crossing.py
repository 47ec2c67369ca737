"""Does the circuit hold whatever its missing edges carry? Every clean prompt with every corrupt one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from acdc.attacks.case import Case
from acdc.attacks.measuring import cases
from acdc.attacks.pair_statistics import SIDES, Crossed, Distribution, Maximum, Stratum
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.crossing import CrossedRun
from acdc.precision import finite_metric
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.span_numbers import span_numbers
from acdc.tasks.batches import PromptBatch
from acdc.tasks.metrics import KLDivergence, Targets
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import TokenPair

QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Crossing:
    """KL(model || circuit) in nats on pairs of a clean prompt and any corrupt one.

    `pairs` are as many of all, `prompts` squared, as could be crossed: those of as many tokens, scored at the same
    position. `strata` are the pairs by word, those first whose mean is surely highest: by the lower end of its
    interval. `worst` are different pairs of those that the model is right on, unlike the figures of `kl` and `strata`,
    which are of all; template and filling are those of the clean prompt.
    """

    prompts: int
    pairs: int
    kl: Distribution
    worst: tuple[Case, ...]
    strata: tuple[Stratum, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "prompts": self.prompts,
            "pairs": self.pairs,
            **asdict(self.kl),
            "worst": [case.to_json() for case in self.worst],
            "strata": [stratum.to_json() for stratum in self.strata],
        }


def crossing(
    problem: Problem,
    circuit: Circuit,
    *,
    seed: int = 0,
    keep: int = 10,
    watch: Callable[[Progress], None] | None = None,
) -> Crossing:
    """Run a circuit on every clean prompt of a problem with every corrupt one, and keep the worst pairs.

    `seed` is the bootstrap's. A pair of the problem is one of those crossed. What the corrupt prompt of a pair says is
    not looked at: it may be the clean one, or call for the same answer.

    Raises: BadSetting unless the ablation is resample and every prompt is scored once; DifferentGraphs.
    Source: uit de Bos and Garriga-Alonso 2024, Adversarial Circuit Evaluation (arXiv:2407.15166).
    """
    if problem.ablation is not Ablation.RESAMPLE:
        raise BadSetting(
            f"under {problem.ablation.value} ablation what missing edges carry does not hang on the corrupt prompt of "
            "a pair, so there is nothing to cross; wanted resample ablation (--ablation resample)"
        )
    if any(len(pair.scored) > 1 for pair in problem.pairs.pairs):
        raise BadSetting(
            "prompts that are scored at several positions cannot be crossed, nor those whose answers are measured "
            "whole: got some, wanted one scored position for each; score each prompt at one position"
        )
    with_others = [(len(pair.clean), pair.position) for pair in problem.pairs.pairs]
    crossed, right = _crossed(problem, circuit, with_others, watch)
    maximum = Maximum(float(crossed.values[-1]), crossed.surely_passed(with_others))
    return Crossing(
        prompts=len(problem.pairs),
        pairs=len(crossed.values),
        kl=Distribution(*crossed.spread(QUANTILES, seed), maximum),
        worst=_worst(problem, circuit, crossed, right, keep),
        strata=_strata(problem.pairs, crossed),
    )


@freed_memory_kept()
def _crossed(
    problem: Problem, circuit: Circuit, group: Sequence[object], watch: Callable[[Progress], None] | None
) -> tuple[Crossed, set[int]]:
    """The divergence of every pair of prompts of one group, and the clean prompts that the model is right on."""
    members = [[index for index, other in enumerate(group) if other == one] for one in dict.fromkeys(group)]
    total, done = sum(len(some) ** 2 for some in members), 0
    right: set[int] = set()
    values, clean, corrupt = np.empty(total), np.empty(total, np.intp), np.empty(total, np.intp)
    for some in members:
        pairs = [problem.pairs.pairs[index] for index in some]
        tokens = (torch.tensor([pair.clean for pair in pairs]), torch.tensor([pair.corrupt for pair in pairs]))
        batch = PromptBatch.of((index, problem.pairs.pairs[index]) for index in some)
        spans = span_numbers(problem.model, problem.pairs, batch)
        run = CrossedRun(problem.model, circuit, *tokens, pairs[0].position, spans)
        reference, numbers = run.reference(), np.array(some, np.intp)
        said = reference.argmax(-1).tolist()
        right.update(index for index, pair, token in zip(some, pairs, said, strict=True) if token in pair.answers)
        unasked = torch.zeros(len(some), 1, dtype=torch.long)  # no answer matters to a divergence
        for block in run.blocks():
            targets = Targets(unasked[block.clean], unasked[block.clean], reference[block.clean])
            found = finite_metric(KLDivergence(), block.logits, targets, problem.model).double().cpu().numpy()
            new = slice(done, done := done + found.size)
            values[new] = found.ravel()
            corrupt[new] = numbers[block.corrupt].repeat(found.shape[1])
            clean[new] = np.tile(numbers[block.clean], found.shape[0])
            if watch is not None:
                watch(Progress("crossing", done, total))
    return Crossed.of(values, clean, corrupt, len(group)), right


def _worst(problem: Problem, circuit: Circuit, crossed: Crossed, right: set[int], keep: int) -> tuple[Case, ...]:
    """What model and circuit make of the pairs of highest divergence that the model is right on, the worst first.

    Several prompts may have one corrupt prompt, and that may be the clean one of another: each pair is told once.
    """
    pairs, chosen = problem.pairs.pairs, dict[tuple[tuple[int, ...], ...], TokenPair]()
    for i, j in zip(reversed(crossed.clean), reversed(crossed.corrupt), strict=True):
        clean, other = pairs[i], pairs[j]
        if i in right and clean.clean != other.corrupt:
            text = replace(clean.text, corrupt=other.text.corrupt)
            chosen.setdefault((clean.clean, other.corrupt), replace(clean, corrupt=other.corrupt, text=text))
        if len(chosen) == keep:
            break
    if not chosen:
        return ()
    return cases(replace(problem, pairs=PromptPairs(tuple(chosen.values()))), circuit, "crossing")


def _strata(pairs: PromptPairs, crossed: Crossed) -> tuple[Stratum, ...]:
    """The pairs by every word of every slot, and by template where no slots are known, on either side."""
    wordings = [text.wording for text in pairs.texts()]
    fillings = [dict(one.filling or [("template", one.template)] * bool(one.template)) for one in wordings]
    strata = [
        stratum
        for slot in dict.fromkeys(slot for filling in fillings for slot in filling)
        for side in SIDES
        for stratum in crossed.strata(slot, [filling.get(slot) for filling in fillings], side)
    ]
    return tuple(sorted(strata, key=lambda stratum: -stratum.mean.low))
