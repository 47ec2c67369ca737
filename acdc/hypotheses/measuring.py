"""The value of each claim, and where it is not as claimed, the edges that most make it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from typing_extensions import assert_never

from acdc.errors import AcdcError, BadHypothesisFile
from acdc.graphs.circuit import Circuit
from acdc.hypotheses.hypothesis import Claim, ClaimedRole, Hypothesis, Listed
from acdc.hypotheses.influential_edges import InfluentialEdge, expendable, movers, named
from acdc.judges.completeness import completeness
from acdc.judges.faithfulness import CONFIDENCE, RESAMPLES, Interval, faithfulness
from acdc.tasks.errors import BadPrompts
from acdc.tasks.tokenisation import tokenise

if TYPE_CHECKING:
    import torch

    from acdc.hypotheses.model_cache import ModelCache
    from acdc.problem import Problem
    from acdc.tasks.prompts import ListedPrompts

_NAMED = 6
"""How many nodes are told by name."""

FindInfluential = Callable[[bool], "tuple[InfluentialEdge, ...]"]


@dataclass(frozen=True)
class MeasuredClaim:
    """The value of a claim, with its 95% confidence interval where it is an estimate over prompts.

    `influential` names the edges that most make the value too low (True) or too high (False); `edges` are to be
    recorded; `counted` says what a count counts.
    """

    value: float
    interval: Interval | None = None
    influential: FindInfluential = field(default=lambda too_low: (), repr=False, compare=False)
    edges: tuple[str, ...] | None = None
    counted: str = ""


def measure(hypothesis: Hypothesis, claim: Claim, model_cache: ModelCache) -> MeasuredClaim:
    """The value of one claim of a hypothesis.

    Raises: BadHypothesisFile when the circuit is not in the model; UnmeasurableBehaviour when the model does not show
    the behaviour; what loading the model raises.
    """
    problem = model_cache.problem(hypothesis.subject)
    circuit = hypothesis.circuit_in(problem.graph)
    match claim.kind:
        case "behaviour":
            return _behaviour(problem)
        case "faithfulness":
            return _faithfulness(problem, circuit)
        case "kl":
            return _kl(problem, circuit)
        case "completeness":
            return _completeness(problem, circuit)
        case "minimality":
            from acdc.judges.minimality import minimality

            useless = minimality(problem, circuit).useless
            return MeasuredClaim(float(len(useless)), influential=lambda too_low: named(useless, "useless"))
        case "necessity":
            from acdc.judges.necessity import necessity

            kept = necessity(problem, circuit).kept
            return MeasuredClaim(
                kept.value, kept, _influential_edges(problem, ~circuit, _keeps(problem), stronger=True)
            )
        case "size":
            return _size(hypothesis, problem, circuit)
        case "edges":
            return _likeness(hypothesis, claim, circuit)
        case "specificity":
            assert claim.other is not None
            # spans are those of the circuit's own task: on others its edges are there at every position
            return _faithfulness(model_cache.problem(claim.other), circuit.without_spans())
        case "roles":
            return _role(hypothesis, claim, model_cache, circuit)
        case "counterexamples":
            assert claim.prompts is not None
            return _counterexamples(problem, circuit, claim.prompts)
        case _:
            assert_never(claim.kind)


def _role(hypothesis: Hypothesis, claim: Claim, model_cache: ModelCache, circuit: Circuit) -> MeasuredClaim:
    """1 where the head has the role that is claimed, 0 where it has another or none; what it has is named."""
    claimed = claim.against
    assert isinstance(claimed, ClaimedRole)
    if claimed.head not in circuit.heads():
        raise BadHypothesisFile(
            f"{claim.place}: {claimed.head.name} is no head of the circuit; "
            f"wanted one of {', '.join(head.name for head in circuit.heads()) or 'none: it has no heads'}"
        )
    found = model_cache.roles(hypothesis.subject, circuit)[claimed.head]
    evidence = ", ".join(f"{name} {value:.2f}" for name, value in found.evidence.items())
    return MeasuredClaim(float(found.role == claimed.role), counted=f"{found.role}: {evidence}")


def _size(hypothesis: Hypothesis, problem: Problem, circuit: Circuit) -> MeasuredClaim:
    """The edges of the circuit, as `acdc show` counts them; the nodes are counted and named beside them."""
    nodes = [node.name for node in circuit.nodes() if node.kind not in ("input", "logits")]
    named = ", ".join(nodes[:_NAMED]) + (", ..." if len(nodes) > _NAMED else "")
    counted = f"edges; nodes: {len(nodes)}" + (f", {named}" if nodes else "")
    if isinstance(hypothesis.circuit, Listed) and (between := hypothesis.circuit.between_nodes(problem.graph)):
        counted += f"; {between} of the edges are those between the nodes that are listed, input and logits"
    return MeasuredClaim(
        float(len(circuit)),
        influential=lambda too_low: () if too_low else expendable(problem, circuit),
        counted=counted,
    )


def _behaviour(problem: Problem) -> MeasuredClaim:
    from scipy.stats import binomtest

    from acdc.tasks.metrics import Accuracy

    def accuracies(circuits: Sequence[Circuit]) -> list[float]:
        found: list[float] = problem.measure(circuits, [Accuracy()])[0].mean(-1).tolist()
        return found

    model, n = Circuit.full(problem.graph), len(problem.pairs)
    [accuracy] = accuracies([model])
    ends = binomtest(round(accuracy * n), n).proportion_ci(CONFIDENCE, "wilson")
    interval = Interval(accuracy, float(ends.low), float(ends.high))
    return MeasuredClaim(accuracy, interval, _influential_edges(problem, model, accuracies, stronger=True))


def _faithfulness(problem: Problem, circuit: Circuit) -> MeasuredClaim:
    kept = faithfulness(problem, circuit).normalised
    return MeasuredClaim(kept.value, kept, _influential_edges(problem, circuit, _keeps(problem), stronger=True))


def _kl(problem: Problem, circuit: Circuit) -> MeasuredClaim:
    from acdc.tasks.metrics import KLDivergence

    def divergences(circuits: Sequence[Circuit]) -> list[float]:
        found: list[float] = problem.measure(circuits, [KLDivergence()])[0].mean(-1).tolist()
        return found

    interval = _mean(problem.measure([circuit], [KLDivergence()])[0, 0])
    return MeasuredClaim(interval.value, interval, _influential_edges(problem, circuit, divergences, stronger=False))


def _counterexamples(problem: Problem, circuit: Circuit, prompts: ListedPrompts) -> MeasuredClaim:
    """The worst divergence on these prompts; a missing edge carries what it does on the problem's own."""
    from acdc.tasks.metrics import KLDivergence
    from acdc.tasks.prompts import PromptPairs

    pairs, problems = [], []
    for text, place in zip(prompts.texts, prompts.places, strict=True):
        pair, wrong = tokenise(text, problem.model.tokenizer)
        problems += [replace(one, place=place) for one in wrong]
        pairs += [pair] if pair else []
    if problems:
        raise BadPrompts(*problems)
    pinned = problem.on(PromptPairs(tuple(pairs)))

    def divergences(circuits: Sequence[Circuit]) -> list[float]:
        found: list[float] = pinned.measure(circuits, [KLDivergence()])[0].amax(-1).tolist()
        return found

    [worst] = divergences([circuit])
    return MeasuredClaim(worst, influential=_influential_edges(pinned, circuit, divergences, stronger=False))


def _completeness(problem: Problem, circuit: Circuit) -> MeasuredClaim:
    worst = completeness(problem, circuit).worst
    rest = circuit.without([edge for edge in circuit.edges if edge.receiver.name in worst.nodes])

    def gaps(circuits: Sequence[Circuit]) -> list[float]:
        return [abs(kept - worst.model) for kept in _keeps(problem)(circuits)]

    return MeasuredClaim(
        worst.size, influential=_influential_edges(problem, rest, gaps, stronger=worst.circuit > worst.model)
    )


def _likeness(hypothesis: Hypothesis, claim: Claim, circuit: Circuit) -> MeasuredClaim:
    own = {edge.name: edge for edge in circuit.ordered()}
    recorded = hypothesis.baselines.get(claim.name)
    other: Sequence[str] = tuple(own)  # with nothing to compare with, the verdict is that there is nothing
    if isinstance(claim.against, Circuit):
        other = [edge.name for edge in claim.against.ordered()]
    elif recorded is not None and recorded.edges is not None:
        other = recorded.edges
    lost, gained = [name for name in other if name not in own], [name for name in own if name not in {*other}]
    together = {*own, *other}
    likeness = len({*own} & {*other}) / len(together) if together else 1.0

    def influential(too_low: bool) -> tuple[InfluentialEdge, ...]:
        return (
            *(InfluentialEdge(name, "lost") for name in lost),
            *(InfluentialEdge(name, "gained") for name in gained),
        )

    return MeasuredClaim(likeness, influential=influential, edges=tuple(own))


def _keeps(problem: Problem) -> Callable[[Sequence[Circuit]], list[float]]:
    """What circuits keep of the behaviour, each as a fraction."""

    def kept(circuits: Sequence[Circuit]) -> list[float]:
        found: list[float] = problem.normalised(problem.measure(circuits)[0].mean(-1)).tolist()
        return found

    return kept


def _influential_edges(
    problem: Problem, circuit: Circuit, values: Callable[[Sequence[Circuit]], list[float]], *, stronger: bool
) -> FindInfluential:
    """Finds the influential edges by measuring; `stronger` says whether a higher value is more of the behaviour."""

    def influential(too_low: bool) -> tuple[InfluentialEdge, ...]:
        try:
            return movers(problem, circuit, values, upwards=too_low, strengthen=too_low == stronger)
        except AcdcError:  # there is nothing to rank edges by, as where the model does not show the behaviour
            return ()

    return influential


def _mean(values: torch.Tensor, seed: int = 0) -> Interval:
    """The mean over prompts with its percentile interval (Efron and Tibshirani 1993, chapter 13)."""
    import numpy

    each = values.numpy()
    draws = numpy.random.default_rng(seed).integers(len(each), size=(RESAMPLES, len(each)))
    tail = (1 - CONFIDENCE) / 2
    low, high = numpy.quantile(each[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(float(each.mean()), float(low), float(high))
