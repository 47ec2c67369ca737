"""The roles of a circuit's heads from prompts alone: chosen on one half of them, checked on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from acdc.discovery.defaults import CHOSEN_IF_LARGE, EXPLAINED_IF_LARGE, LARGE
from acdc.explain.evidence import evidence
from acdc.explain.head_evidence import HeadEvidence
from acdc.explain.role_names import INHIBITION, MOVER
from acdc.explain.roles import CausalCheck, candidates, causal_checks, of_check, roles
from acdc.explain.s_inhibition import inhibition
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED, NodeRole
from acdc.problem import Problem

if TYPE_CHECKING:
    from acdc.judges.distance import Watch


@dataclass(frozen=True)
class Labels:
    """The role of every head of a circuit, the evidence on the prompts kept for it, and the causal checks.

    `needed` is what ablating each head at each slot costs: on those prompts or, of heads that no role fits on the
    prompts that it is chosen on, on these.
    """

    roles: Mapping[Node, NodeRole]
    kept: HeadEvidence
    needed: Mapping[Node, Mapping[str, float]]
    checks: tuple[CausalCheck, ...]


def explained_on(choosing: Problem, keeping: Problem, prompts: int | None = None) -> tuple[Problem, Problem]:
    """Both halves as far as a circuit is explained on them: their first prompts (None: all, some if it is large).

    Of large models roles are chosen on fewer than they have to hold on: there every head is ablated everywhere apart.
    """
    is_large = choosing.graph.n_edges >= LARGE
    counts = (prompts or (some if is_large else None) for some in (CHOSEN_IF_LARGE, EXPLAINED_IF_LARGE))
    first, second = (
        half if count is None or count >= len(half.pairs) else half.on(half.pairs.select(range(count)))
        for half, count in zip((choosing, keeping), counts, strict=True)
    )
    return first, second


def label(circuit: Circuit, choosing: Problem, keeping: Problem, seed: int = 0, watch: Watch | None = None) -> Labels:
    """Say which role each head of a circuit has; `seed` draws the random sequences and the heads to compare with.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    keeping.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch
    heads = circuit.heads()
    chosen = evidence(choosing, heads, watch=watch)
    fitting = [head for head in heads if chosen.role(head)[0] != UNLABELLED]
    kept = evidence(keeping, heads, by_position=fitting, seed=seed, watch=watch)  # the others have no role anyway
    checks, counting = causal_checks(keeping, circuit, candidates(chosen, kept), kept.costs.alone, seed, watch)
    found = roles(circuit, chosen, kept, checks, counting)
    steer, more = _inhibiting(circuit, choosing, keeping, found, kept.costs.alone, seed, watch)
    checks, found = (*checks, *more), {**found, **steer}
    return Labels(found, kept, {**chosen.costs.by_slot, **kept.costs.by_slot}, checks)


def _inhibiting(
    circuit: Circuit,
    choosing: Problem,
    keeping: Problem,
    known: Mapping[Node, NodeRole],
    alone: Mapping[Node, Float[Tensor, " prompt"]],
    seed: int,
    watch: Watch | None,
) -> tuple[dict[Node, NodeRole], tuple[CausalCheck, ...]]:
    """The heads without another role that keep the name movers from distractors, and what ablating these costs."""
    movers, others = ([head for head, role in known.items() if role.role == which] for which in (MOVER, UNLABELLED))
    if not movers:
        return {}, ()
    chosen = inhibition(choosing, others, movers)
    fitting = [head for head in chosen.heads if chosen.fits(head)]
    kept = inhibition(keeping, fitting, movers)
    holding = {head: INHIBITION for head in kept.heads if kept.fits(head)}
    checks, counting = causal_checks(keeping, circuit, holding, alone, seed, watch)
    found = {
        head: NodeRole(INHIBITION, of_check(kept.evidence(head), check), kept.percentile(head))
        for check in checks
        for head in check.heads
        if check.agrees and head in counting
    }
    return found, checks
