"""How often each hypothesis test says yes where it should not, and where it should. Run by hand:

    python -m tests.benchmarks.calibration

False positives are counted on simulated cases in which the null hypothesis is just true; power on planted circuits, in
which what is wrong with a candidate is known: an edge dropped, a useless edge added, another circuit of the same size.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy

from acdc import tasks
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.ground_truth.planted import Motif, known
from acdc.judges.equivalence import SLACK, equivalence, sign_test, two_one_sided
from acdc.judges.independence import independence, permuted
from acdc.judges.minimality import beating, holm, minimality
from acdc.judges.necessity import partial_necessity
from acdc.judges.random_circuits import random_circuits
from acdc.judges.rank_test import SHARE, rank_test
from acdc.judges.sufficiency import sufficiency
from acdc.problem import Problem

LEVEL = 0.05


@dataclass(frozen=True)
class Count:
    """How many of some cases a test rejected its null hypothesis in."""

    test: str
    rejected: int
    cases: int

    @property
    def rate(self) -> float:
        return self.rejected / self.cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10, help="planted models of each motif")
    parser.add_argument("--draws", type=int, default=1000)
    asked = parser.parse_args()
    print(f"false positives at level {LEVEL}, {asked.cases} null cases")
    for count in false_positives(asked.cases):
        print(f"  {count.test:45} {count.rate:.3f}  ({count.rate / LEVEL:.2f} of the level)", flush=True)
    print(f"power at level {LEVEL}, planted circuits")
    for count in power(asked.seeds, asked.draws, watch=lambda words: print(f"  {words}", flush=True)):
        print(f"  {count.test:45} {count.rate:.3f}  ({count.rejected} of {count.cases})", flush=True)


def false_positives(cases: int, seed: int = 0, permutations: int = 1000) -> Iterator[Count]:
    """Every test where its null hypothesis is at its edge."""
    draw = numpy.random.default_rng(seed)

    def sign() -> float:
        above = draw.binomial(400, 0.5 + SLACK)
        return sign_test(int(above), int(400 - above), 0)

    def tost() -> float:
        return two_one_sided(draw.normal(0.1, 0.2, size=64), 0.1)

    def hsic() -> float:
        x, y = draw.normal(size=(2, 64))
        return permuted(x**3, y, permutations, int(draw.integers(1 << 30))).p_value

    def rank() -> float:
        values = draw.normal(size=1001)
        return rank_test(values[0], values[1:]).p_value

    def share() -> float:
        return rank_test(float(numpy.quantile(_LARGE, SHARE)), draw.choice(_LARGE, 1000)).p_share

    def edge() -> float:
        return float(beating(numpy.array([numpy.quantile(_LARGE, SHARE)]), draw.choice(_LARGE, 1000))[1][0])

    def any_edge() -> float:
        each = [edge() for _ in range(12)]
        return float(holm(numpy.array(each)).min())

    tests: dict[str, Callable[[], float]] = {
        "equivalence, sign test": sign,
        "equivalence, TOST": tost,
        "independence, HSIC": hsic,
        "sufficiency, necessity: rank": rank,
        "sufficiency, necessity: share beaten": share,
        "minimality, one edge": edge,
        "minimality, any of 12 edges, Holm": any_edge,
    }
    for name, p_value in tests.items():
        yield Count(name, sum(p_value() <= LEVEL for _ in range(cases)), cases)


_LARGE = numpy.abs(numpy.random.default_rng(1).standard_cauchy(100_001))
"""Effects that random edges or circuits might have: most small, some very large."""


def power(
    seeds: int,
    draws: int,
    motifs: tuple[Motif, ...] = ("chain", "and"),
    watch: Callable[[str], None] | None = None,
) -> Iterator[Count]:
    """Every test against planted circuits that it should reject, or accept where that takes a rejection."""
    hits: dict[str, list[bool]] = {}
    for motif in motifs:
        for seed in range(seeds):
            for name, hit in _planted(motif, seed, draws):
                hits.setdefault(name, []).append(hit)
                if not hit and watch is not None:
                    watch(f"missed: {name}, {motif} of seed {seed}")
    for name, found in hits.items():
        yield Count(name, sum(found), len(found))


def _planted(motif: Motif, seed: int, draws: int) -> Iterator[tuple[str, bool]]:
    subject = known(motif, seed)
    pairs = subject.task.build(subject.model.tokenizer, 48, seed).discovery
    problem = Problem(subject.model, pairs, tasks.metric(subject.task.metric))
    draw = random.Random(seed)
    true = Circuit(problem.graph, subject.truth(Ablation.RESAMPLE)[0])
    dropped = true.without([draw.choice(true.ordered())])
    [other] = random_circuits(true, 1, "uniform", seed)
    # without an edge of the true circuit the rest knows nothing more, so that only this one leaves it something to know
    [apart] = random_circuits(true, 1, "uniform", seed, outside=True)
    useless = [e for e in (~true).ordered() if e in Circuit(true.graph, true.edges | {e}).pruned().edges]
    added = draw.choice(useless)
    more = Circuit(true.graph, true.edges | {added})
    yield "equivalence, sign test: edge dropped", equivalence(problem, dropped).sign_test.p_value <= LEVEL
    yield "equivalence, sign test: another circuit", equivalence(problem, other).sign_test.p_value <= LEVEL
    yield "equivalence, TOST: the true circuit is alike", equivalence(problem, true).tost.p_value <= LEVEL
    yield "equivalence, TOST: edge dropped is not", equivalence(problem, dropped).tost.p_value > LEVEL
    yield "equivalence, TOST: another circuit is not", equivalence(problem, other).tost.p_value > LEVEL
    yield "independence: another circuit, no edge shared", independence(problem, apart).p_value <= LEVEL
    yield "minimality: useless edge added", minimality(problem, more).useless == (added,)
    yield "minimality: no true edge is useless", minimality(problem, true).useless == ()
    enough = sufficiency(problem, true, draws=draws)
    yield "sufficiency: the true circuit, uniform", enough.uniform.p_value <= LEVEL
    alike = random_circuits(true, draws, "layer-stratified", seed + 1)
    if sum(one == true for one in alike) < LEVEL / 2 * draws:  # where it often is drawn itself, nothing can be rare
        yield "sufficiency: the true circuit, layers, where it is rare", enough.stratified.p_value <= LEVEL
    cut = dropped.pruned()  # without an edge the circuit may not reach the logits at all, and is refused
    yield (
        "sufficiency: not that with an edge dropped",
        not cut.edges or (sufficiency(problem, dropped, draws=draws).p_value > LEVEL),
    )
    yield "sufficiency: not another circuit", sufficiency(problem, other, draws=draws).p_value > LEVEL
    yield "necessity: the true circuit", partial_necessity(problem, true, draws=max(100, draws // 10)).p_value <= LEVEL


if __name__ == "__main__":
    main()
